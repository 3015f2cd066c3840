/// Stacks of symbols that share their lower parts. Equal stacks have equal indices.
struct SymbolStacks: Sendable {
  struct Stack: Hashable, Sendable {
    let index: Int
  }

  private struct Node: Hashable {
    let top: Grammar.Part
    let rest: Stack
  }

  private var nodes: [Node] = []
  private var indices: [Node: Int] = [:]

  let empty = Stack(index: -1)

  mutating func pushing(_ part: Grammar.Part, onto rest: Stack) -> Stack {
    let node = Node(top: part, rest: rest)
    if let index = indices[node] { return Stack(index: index) }
    indices[node] = nodes.count
    nodes.append(node)
    return Stack(index: nodes.count - 1)
  }

  /// The topmost symbol and what is below it; nil if there is none.
  func popping(_ stack: Stack) -> (top: Grammar.Part, rest: Stack)? {
    guard stack != empty else { return nil }
    let node = nodes[stack.index]
    return (node.top, node.rest)
  }
}

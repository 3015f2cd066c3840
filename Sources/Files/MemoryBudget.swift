/// How much a reader may allocate for what a file describes.
///
/// A file is hostile input, and a few bytes can ask for much: an empty list is one byte of a pickle and dozens in memory,
/// and one value can stand in a thousand places. So a reader takes bytes from its budget before it allocates them, and
/// gives up where the budget ends. What the budget bounds is the reader's own structures; the file itself is mapped, and
/// tensors are made one at a time by who asks.
///
/// Twice the file's size is no bound for honest files: of a list of numbers in a small checkpoint, each is two bytes of
/// the pickle and some hundred in memory with all that is kept of it. So the part of a file that describes, the pickle or
/// the header, justifies a multiple of its own size as well, up to an amount that any machine can spare.
public struct MemoryBudget: Sendable {
  /// What any reader may use, however small the file: the smallest structures are larger than the bytes that ask for them.
  public static let minimum = 64 << 10
  /// What a byte that describes may take.
  public static let descriptionFactor = 128
  /// The most that descriptions may take beyond twice the file's size.
  public static let descriptionLimit = 256 << 20

  /// How many bytes may be taken.
  public private(set) var limit: Int
  /// How many are taken.
  public private(set) var used = 0
  /// The most that was in use at one time.
  public private(set) var peak = 0

  /// - Parameters:
  ///   - fileSize: the file's bytes.
  ///   - description: those of them that describe the others.
  public init(fileSize: Int, description: Int = 0) {
    let (twice, overflow) = fileSize.multipliedReportingOverflow(by: 2)
    limit = overflow ? .max : twice + min(Self.minimum, .max - twice)
    justify(description: description)
  }

  /// Call once it is known how many of the file's bytes describe the others.
  public mutating func justify(description bytes: Int) {
    let more = min(bytes, Self.descriptionLimit / Self.descriptionFactor) * Self.descriptionFactor
    limit += min(more, .max - limit)
  }

  /// A reader gave up because a file asks for more than its size can justify.
  public struct Exceeded: Error, Sendable, Equatable, CustomStringConvertible {
    /// The bytes that may be taken.
    public let limit: Int

    public var description: String {
      "what it describes would take more than \(limit) bytes of memory, which its size does not justify"
    }
  }

  /// Call before bytes are allocated.
  public mutating func take(_ bytes: Int) throws(Exceeded) {
    guard bytes <= limit - used else { throw Exceeded(limit: limit) }
    used += bytes
    peak = max(peak, used)
  }

  /// Call after bytes were freed.
  public mutating func giveBack(_ bytes: Int) { used -= bytes }
}

/// An array whose memory is taken from a budget, including both copies while it grows.
public struct BudgetedArray<Element: BitwiseCopyable> {
  /// The elements.
  public private(set) var elements: [Element] = []
  private var capacity = 0

  /// No elements.
  public init() {}

  /// How many elements there are.
  public var count: Int { elements.count }

  /// One element.
  public subscript(index: Int) -> Element {
    get { elements[index] }
    set { elements[index] = newValue }
  }

  /// Adds an element, if the budget has room for it.
  public mutating func append(_ element: Element, _ budget: inout MemoryBudget) throws(MemoryBudget.Exceeded) {
    if elements.count == capacity {
      let larger = max(16, capacity + capacity / 2)
      try budget.take(larger * MemoryLayout<Element>.stride)
      elements.reserveCapacity(larger)
      budget.giveBack(capacity * MemoryLayout<Element>.stride)
      capacity = larger
    }
    elements.append(element)
  }

  /// The last element, taken away.
  public mutating func removeLast() -> Element { elements.removeLast() }

  /// Takes the last elements away.
  public mutating func removeLast(_ count: Int) { elements.removeLast(count) }

  /// Sorts in place; the sort's own buffer is taken from the budget while it runs.
  public mutating func sort(
    _ budget: inout MemoryBudget, by areInIncreasingOrder: (Element, Element) -> Bool
  ) throws(MemoryBudget.Exceeded) {
    let buffer = elements.count * MemoryLayout<Element>.stride
    try budget.take(buffer)
    elements.sort(by: areInIncreasingOrder)
    budget.giveBack(buffer)
  }
}

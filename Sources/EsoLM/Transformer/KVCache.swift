/// Keys and values of the first slots of one sequence.
///
/// Where attention is causal along the generation order, the key and value of a written token never change, and storing
/// them is exact; where it is not, ``DecodingRule`` says which slots are settled, and only those stay. A mask's never enter. A cache is an argument of the network, never its state: one network serves any number
/// of them.
public protocol KVCache: AnyObject {
  /// How many slots are stored.
  var count: Int { get }

  /// Forgets all slots but the first ones.
  func truncate(to count: Int)

  /// A cache of its own that begins with the first slots of this one, sharing memory as long as neither changes it.
  func copy(upTo count: Int) -> Self

  /// Grows to so many slots with contents that mean nothing, to measure what a call costs then.
  func pad(to count: Int)

  /// The memory that it takes, shared or not, in bytes.
  var byteCount: Int { get }
}

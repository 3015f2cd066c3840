/// Random numbers that depend on *where* they are used, not on what was drawn before.
///
/// A run must give the same result however it is batched, interrupted or spread over processes. So nothing here is a long
/// sequence that has to be replayed: a generator is keyed by a seed, a purpose (`stream`) and two indices (say, training
/// step and sample), and starts fresh at that key. The numbers are Philox4x32-10 (Salmon et al., "Parallel random
/// numbers: as easy as 1, 2, 3", SC 2011): ten rounds of a keyed mixing of a 128-bit counter.
///
/// It is no cryptographic generator.
public struct CounterGenerator: RandomNumberGenerator, Sendable {
  private let key: SIMD2<UInt32>
  private var counter: SIMD4<UInt32>
  private var pending: UInt64?

  /// A generator at the start of its own sequence of 2³³ numbers.
  ///
  /// - Parameters:
  ///   - seed: the user's seed.
  ///   - stream: what the numbers are for; two purposes never share a stream.
  ///   - major: the first index, for example the training step.
  ///   - minor: the second index, for example the sample within the global batch.
  public init(seed: UInt64, stream: RandomStream, major: Int = 0, minor: Int = 0) {
    key = [UInt32(truncatingIfNeeded: seed), UInt32(truncatingIfNeeded: seed >> 32)]
    counter = [0, stream.rawValue, UInt32(truncatingIfNeeded: major), UInt32(truncatingIfNeeded: minor)]
  }

  public mutating func next() -> UInt64 {
    if let value = pending {
      pending = nil
      return value
    }
    let block = Self.philox(counter: counter, key: key)
    counter[0] &+= 1
    pending = UInt64(block[2]) | UInt64(block[3]) << 32
    return UInt64(block[0]) | UInt64(block[1]) << 32
  }

  /// A uniform number in [0, 1), a multiple of 2⁻⁵³.
  public mutating func uniform() -> Double {
    Double(next() >> 11) * 0x1p-53
  }

  /// The Philox4x32-10 bijection of one counter value.
  static func philox(counter: SIMD4<UInt32>, key: SIMD2<UInt32>) -> SIMD4<UInt32> {
    var state = counter
    var key = key
    for _ in 0..<10 {
      let left = state[0].multipliedFullWidth(by: 0xD251_1F53)
      let right = state[2].multipliedFullWidth(by: 0xCD9E_8D57)
      state = [right.high ^ state[1] ^ key[0], right.low, left.high ^ state[3] ^ key[1], left.low]
      key &+= [0x9E37_79B9, 0xBB67_AE85]
    }
    return state
  }
}

/// What random numbers are drawn for. Every purpose has its own stream, so that adding draws to one changes no other.
public enum RandomStream: UInt32, Sendable, CaseIterable {
  /// Weights at the start of training; the first index is the parameter.
  case initialWeights = 1
  /// The order of an epoch; the first index is the epoch.
  case dataOrder
  /// Times, masks and orders of training; the indices are step and sample.
  case corruption
  /// The seed of dropout; the first index is the step.
  case dropout
  /// Noise of bounds; the indices are the draw and the sequence.
  case validation
  /// How many tokens each step of a plan writes; the first index is the sequence.
  case samplingPlan
  /// Which positions each step of a plan writes; the first index is the sequence.
  case samplingOrder
  /// Tokens; the indices are the sequence and the draw.
  case samplingToken
  /// Orders of exact likelihoods; the first index is the sequence.
  case likelihoodOrder
  /// Sentences of the toy language.
  case toyLanguage
  /// Where random windows lie; the indices are the part and the draw.
  case crop
  /// The order of given tokens; the first index is the sequence.
  case contextOrder
  /// The lengths of holes; the first index is the sequence.
  case holeLength
  /// Drafts, and whether they are accepted; the indices are the sequence and the call.
  case drafts
  /// Sudokus: grids, and the clues of puzzles; the indices are the grid and what is drawn of it.
  case sudoku
}

/// Where the kept tokens end when all are sorted by falling probability, equal ones by rising id: what top-k and the
/// nucleus leave of a distribution, found without sorting the vocabulary. Top-k keeps all that are as likely as the last of its k.
struct Cutoff {
  let probability: Float
  let index: Int

  /// Keeps everything.
  static let none = Cutoff(probability: -1, index: 0)

  private init(probability: Float, index: Int) {
    self.probability = probability
    self.index = index
  }

  /// Keeps the likeliest token alone, of several the first.
  init(likeliestOf chances: UnsafeBufferPointer<Float>) {
    var best = 0
    for index in chances.indices where chances[index] > chances[best] { best = index }
    self.init(probability: chances[best], index: best)
  }

  func keeps(_ probability: Float, at index: Int) -> Bool {
    probability > self.probability || (probability == self.probability && index <= self.index)
  }

  // MARK: Finding it

  /// The likeliest `count` tokens and those that tie with the last of them, and of all these the fewest whose
  /// probabilities reach `topP` of theirs together.
  init(_ chances: UnsafeBufferPointer<Float>, count: Int, topP: Double) {
    // Below some thousand tokens a histogram takes longer than it saves.
    let histogram = chances.count > 4096 ? Histogram(chances) : nil

    /// The last token on the way from the likeliest down that takes `count` tokens or reaches `mass`.
    func walk(count: Int, mass: Double) -> UInt64 {
      let start = histogram?.crossing(count: count, mass: mass)
      var keys: [UInt64] = []
      for (index, chance) in chances.enumerated() where start == nil || Histogram.size(chance) == start!.size {
        keys.append(Self.key(chance, index))
      }
      return Self.select(&keys, count: count - (start?.count ?? 0), mass: mass - (start?.mass ?? 0))
    }
    // All probabilities together are 1, but for rounding.
    var mass = 1.0
    if count < chances.count {
      let least = Self.probability(walk(count: count, mass: .infinity))
      self.init(probability: least, index: chances.count - 1)
      guard topP < 1 else { return }
      mass = Self.mass(chances, chances.indices, from: least)
    }
    let last = walk(count: chances.count, mass: topP * mass)
    self.init(probability: Self.probability(last), index: Int(~UInt32(truncatingIfNeeded: last)))
  }

  /// How many tokens have probabilities of about the same size, and what these add up to. The bits of a positive float
  /// sort as the float does, so the upper ones tell sizes apart: the exponent and five binary places. What is below 2⁻³¹
  /// is of one size.
  ///
  /// Neighbours are counted in places of their own: where many tokens are of one size, each would wait for the one before.
  private struct Histogram {
    private var counts = [Int](repeating: 0, count: sizes)
    private var masses = [Double](repeating: 0, count: sizes)
    private static let sizes = 1 << 10
    private static let banks = 4

    init(_ chances: UnsafeBufferPointer<Float>) {
      typealias Bin = SIMD2<Double>  // count and mass
      withUnsafeTemporaryAllocation(of: Bin.self, capacity: Self.banks * Self.sizes) { bins in
        bins.initialize(repeating: Bin())
        for (index, chance) in chances.enumerated() {
          bins[Self.banks * Self.size(chance) + index % Self.banks] += Bin(1, Double(chance))
        }
        for size in 0..<Self.sizes {
          let all = (0..<Self.banks).reduce(Bin()) { $0 + bins[Self.banks * size + $1] }
          counts[size] = Int(all.x)
          masses[size] = all.y
        }
      }
    }

    static func size(_ chance: Float) -> Int { max(0, Int(chance.bitPattern >> 18) - 96 << 5) & (sizes - 1) }

    /// The size at which the walk ends, and how far it was before.
    func crossing(count: Int, mass: Double) -> (size: Int, count: Int, mass: Double) {
      var before = (size: 0, count: 0, mass: 0.0)
      for size in counts.indices.reversed() where counts[size] > 0 {
        before.size = size
        if before.count + counts[size] >= count || before.mass + masses[size] >= mass { break }
        before.count += counts[size]
        before.mass += masses[size]
      }
      return before
    }
  }

  /// A number that sorts like (probability, −index).
  private static func key(_ chance: Float, _ index: Int) -> UInt64 {
    UInt64(chance.bitPattern) << 32 | UInt64(~UInt32(index))
  }

  private static func probability(_ key: UInt64) -> Float { Float(bitPattern: UInt32(key >> 32)) }

  /// Walks down the sorted keys until `count` of them are taken or their probabilities reach `mass`, and returns the
  /// last one taken. Quickselect: each round splits the keys that are still undecided at a pivot
  /// and goes on in the half where the walk ends.
  private static func select(_ keys: inout [UInt64], count: Int, mass: Double) -> UInt64 {
    func chance(_ key: UInt64) -> Double { Double(probability(key)) }
    var (low, high) = (0, keys.count)
    var sum = 0.0
    while high - low > 48 {
      let middle = keys[low + (high - low) / 2]
      let (first, last) = (keys[low], keys[high - 1])
      let pivot = max(min(first, middle), min(max(first, middle), last))
      var (boundary, above) = (low, 0.0)
      for place in low..<high where keys[place] >= pivot {
        above += chance(keys[place])
        keys.swapAt(place, boundary)
        boundary += 1
      }
      if boundary == high {  // the pivot is the smallest: nothing was decided
        break
      } else if boundary >= count || sum + above >= mass {
        high = boundary
      } else {
        sum += above
        low = boundary
      }
    }
    keys[low..<high].sort(by: >)
    var place = low
    while place < high {
      sum += chance(keys[place])
      place += 1
      if place >= count || sum >= mass { break }
    }
    return keys[place - 1]
  }

  // MARK: Drawing

  /// The token at which the kept probabilities, added up by rising id, pass `uniform` of their sum. Going by id and not
  /// by probability keeps the draw where it was when rounding swaps two nearly equal tokens.
  ///
  /// - Returns: the token, and the sum of all that are kept.
  func draw(from chances: UnsafeBufferPointer<Float>, uniform: Double) -> (token: Int32, mass: Double) {
    // Up to the last token that is kept, tokens as likely as that are kept too, beyond it only likelier ones.
    let bounds = [0..<min(index + 1, chances.count), min(index + 1, chances.count)..<chances.count]
    let thresholds = [max(probability, Float.leastNonzeroMagnitude), max(probability.nextUp, .leastNonzeroMagnitude)]
    let chunks = zip(bounds, thresholds).flatMap { bounds, threshold in
      stride(from: bounds.lowerBound, to: bounds.upperBound, by: 256).map { start in
        let range = start..<min(start + 256, bounds.upperBound)
        return (range: range, threshold: threshold, mass: Self.mass(chances, range, from: threshold))
      }
    }
    let mass = chunks.reduce(0) { $0 + $1.mass }
    var rest = uniform * mass
    var last = 0
    for chunk in chunks where chunk.mass > 0 {
      if rest >= chunk.mass {
        rest -= chunk.mass
        last = chunk.range.last { chances[$0] >= chunk.threshold }!
        continue
      }
      for index in chunk.range where chances[index] >= chunk.threshold {
        rest -= Double(chances[index])
        last = index
        if rest < 0 { break }
      }
      break
    }
    return (Int32(last), mass)
  }

  /// The sum of the chances in a range that reach a threshold.
  private static func mass(
    _ chances: UnsafeBufferPointer<Float>, _ range: Range<Int>, from threshold: Float
  ) -> Double {
    var sums = SIMD8<Double>()
    var place = range.lowerBound
    let raw = UnsafeRawPointer(chances.baseAddress!)
    while place + 8 <= range.upperBound {
      let eight = raw.loadUnaligned(fromByteOffset: 4 * place, as: SIMD8<Float>.self)
      sums += SIMD8<Double>(eight.replacing(with: 0, where: eight .< threshold))
      place += 8
    }
    var sum = sums.sum()
    for index in place..<range.upperBound where chances[index] >= threshold { sum += Double(chances[index]) }
    return sum
  }
}

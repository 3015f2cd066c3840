import Torch

/// MAUVE (Pillutla et al., NeurIPS 2021): how close the distribution of generated text is to that of human text, from 0 to 1.
///
/// Texts become features (the judge's hidden state at their last token), all features of both sides together are
/// clustered, and the two sides' histograms over the clusters are compared by the area below their divergence curve.
/// Features are scaled to length 1, and only the principal components that carry most of their variance are clustered.
/// The score depends on the number of texts and of buckets; compare only scores of like settings.
///
/// With the same features, settings and seed the score is that of the `mauve-text` package, up to rounding.
public struct Mauve: Sendable, Equatable {
  /// The settings of mauve-text, with its defaults.
  public struct Options: Sendable, Equatable {
    /// Clusters; nil takes a tenth of the smaller side, at least 2.
    public var buckets: Int?
    /// The share of variance that the components which are kept must carry.
    public var explainedVariance = 0.9
    /// Clusterings from different starts, of which the best counts.
    public var restarts = 5
    /// Iterations of a clustering at most.
    public var maxIterations = 500
    /// Mixtures on the divergence curve.
    public var mixtures = 25
    /// The scaling c of the divergence curve.
    public var scale = 5.0
    /// The seed of clustering.
    public var seed: UInt32 = 25

    /// The usual settings.
    public init() {}

    fileprivate func validate() throws {
      func require(_ condition: Bool, _ field: String, _ found: some CustomStringConvertible, _ expected: String) throws
      {
        guard condition else { throw MauveError("MAUVE's \(field) is \(found), expected \(expected)") }
      }
      try require(
        explainedVariance > 0 && explainedVariance <= 1, "explainedVariance", explainedVariance,
        "a number above 0 and at most 1")
      try require((1...1000).contains(restarts), "restarts", restarts, "1 to 1000")
      try require((1...(1 << 20)).contains(maxIterations), "maxIterations", maxIterations, "1 to \(1 << 20)")
      try require((2...(1 << 20)).contains(mixtures), "mixtures", mixtures, "2 to \(1 << 20)")
      try require(scale > 0 && scale.isFinite, "scale", scale, "a number above 0")
    }
  }

  /// From 0 to 1; higher is closer.
  public let score: Double
  /// The curve below which the area is the score.
  public let curve: DivergenceCurve
  /// The share of each side's texts in each bucket.
  public let p: [Double]
  /// The share of the second side's texts in each bucket.
  public let q: [Double]
  /// Components that were clustered.
  public let components: Int

  /// Compares two sides' features.
  ///
  /// - Parameters:
  ///   - pFeatures: the first side's, [texts, size].
  ///   - qFeatures: the second side's, [texts, size].
  ///   - options: how they are reduced and clustered.
  ///   - progress: called with the share of clusterings that are done, one that ends early counting as whole.
  /// - Throws: ``MauveError`` if an option is none that can be used, a side is empty, the sizes differ, a number is none, or there are fewer texts than
  ///   buckets.
  public init(
    _ pFeatures: Tensor, _ qFeatures: Tensor, options: Options = Options(), progress: (Double) -> Void = { _ in }
  ) throws {
    try options.validate()
    let (pCount, qCount) = (pFeatures.size(0), qFeatures.size(0))
    guard pCount > 0, qCount > 0 else {
      throw MauveError("MAUVE needs texts on both sides, found \(pCount), \(qCount)")
    }
    guard pFeatures.size(1) == qFeatures.size(1) else {
      throw MauveError("MAUVE needs features of one size, found \(pFeatures.size(1)), \(qFeatures.size(1))")
    }
    let buckets = options.buckets ?? Self.defaultBuckets(texts: min(pCount, qCount))
    guard (2...max(2, pCount + qCount)).contains(buckets) else {
      throw MauveError("MAUVE's buckets are \(buckets), expected 2 to the number of texts \(pCount + qCount)")
    }
    let all = Tensor.concatenated([qFeatures.to(.cpu).to(.float64), pFeatures.to(.cpu).to(.float64)])
    guard all.maxAbs().item.isFinite else { throw MauveError("MAUVE's features hold a number that is none") }
    let scaled = Self.scaledToLengthOne(all)
    let components = PrincipalComponents(scaled, explaining: options.explainedVariance)
    let clustering = KMeans(
      components.projected(scaled).to(.float32), clusters: buckets, restarts: options.restarts,
      maxIterations: options.maxIterations, seed: options.seed &+ 2, progress: progress)
    q = Self.histogram(clustering.labels.prefix(qCount), buckets: buckets)
    p = Self.histogram(clustering.labels.dropFirst(qCount), buckets: buckets)
    curve = DivergenceCurve(p, q, mixtures: options.mixtures, scale: options.scale)
    score = curve.area
    self.components = components.count
  }

  /// A tenth of the texts of a side, rounded to the nearest even number where it lies between two, at least 2.
  static func defaultBuckets(texts: Int) -> Int { max(2, Int((Double(texts) / 10).rounded(.toNearestOrEven))) }

  /// Rows divided by their Euclidean length; a row of zeros stays.
  private static func scaledToLengthOne(_ rows: Tensor) -> Tensor {
    let lengths = (rows * rows).sum(dim: 1).array(of: Double.self).map { $0 > 0 ? $0.squareRoot() : 1 }
    return rows / Tensor(lengths, shape: [lengths.count, 1])
  }

  private static func histogram(_ labels: some Collection<Int>, buckets: Int) -> [Double] {
    var counts = [Double](repeating: 0, count: buckets)
    for label in labels { counts[label] += 1 }
    return counts.map { $0 / Double(labels.count) }
  }
}

/// Features that cannot be compared.
public struct MauveError: Error, CustomStringConvertible, Sendable, Equatable {
  public let description: String

  init(_ description: String) { self.description = description }
}

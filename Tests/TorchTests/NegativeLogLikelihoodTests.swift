import TestSupport
import Testing
import Torch

@Suite("Negative log-likelihood")
struct NegativeLogLikelihoodTests {
  /// An output layer and what it is asked for.
  private struct Layer {
    let parameters: [Tensor]  // hidden, weight, bias
    let targets: Tensor
    let lossWeights: Tensor
    let excluded: Int?

    init(rows: Int, classes: Int, hidden: Int = 5, excluded: Int?) {
      parameters = [
        .parameter([rows, hidden], seed: 1), .parameter([classes, hidden], seed: 2), .parameter([classes], seed: 3),
      ]
      // Any classes but the last, which is the one that tests exclude.
      targets = Tensor((0..<rows).map { Int64(($0 * 7919) % (classes - 1)) })
      lossWeights = .uniform([rows], in: 0.1..<2, seed: 4)
      self.excluded = excluded
    }

    private init(parameters: [Tensor], targets: Tensor, lossWeights: Tensor, excluded: Int?) {
      (self.parameters, self.targets, self.lossWeights, self.excluded) = (parameters, targets, lossWeights, excluded)
    }

    /// One row on its own.
    func row(_ row: Int) -> Layer {
      func part(_ tensor: Tensor) -> Tensor { tensor.detached().narrowed(dim: 0, to: row..<row + 1) }
      return Layer(
        parameters: [part(parameters[0]).requiringGradient(), parameters[1], parameters[2]], targets: part(targets),
        lossWeights: part(lossWeights), excluded: excluded)
    }

    func fused() -> (loss: Tensor, nll: Tensor) {
      parameters[0].negativeLogLikelihood(
        weight: parameters[1], bias: parameters[2], targets: targets, lossWeights: lossWeights, excluding: excluded)
    }

    /// The same with all logits at once.
    func composed() -> (loss: Tensor, nll: Tensor) {
      var logits = parameters[0].linear(parameters[1], bias: parameters[2])
      if let excluded {
        let bias = Tensor.zeros([logits.size(1)])
        bias.narrowed(dim: 0, to: excluded..<excluded + 1).fill(-.infinity)
        logits = logits + bias
      }
      let nll = logits.logSoftmax(dim: 1).gathering(targets.reshaped([-1, 1]), dim: 1).reshaped([-1]) * -1
      return ((nll * lossWeights).sum(), nll)
    }

    func expectEqual(within tolerance: Double, sourceLocation: SourceLocation = #_sourceLocation) {
      let (found, expected) = (fused(), composed())
      #expect(found.loss.dtype == .float64, sourceLocation: sourceLocation)
      #expect(distance(found.nll, expected.nll) < tolerance, sourceLocation: sourceLocation)
      #expect(distance(found.loss, expected.loss) < 10 * tolerance, sourceLocation: sourceLocation)
      // Scaled, as a loss that is one term of a sum.
      let slopes = [fused, composed].map { layer in gradients(of: { layer().loss * 0.7 }, for: parameters) }
      for (found, expected) in zip(slopes[0], slopes[1]) {
        #expect(distance(found, expected) < tolerance, sourceLocation: sourceLocation)
      }
    }
  }

  @Test(arguments: [1, 2, 33], [nil, 10])
  func lossAndGradientsAreThoseOfAllLogitsAtOnce(rows: Int, excluded: Int?) {
    Layer(rows: rows, classes: 11, excluded: excluded).expectEqual(within: 1e-5)
  }

  /// 2²⁵ logits are held at a time: of these vocabularies those of 32 and of 16 rows.
  @Test(arguments: [(1 << 20, 33), (1 << 21, 17)])
  func rowsAreTakenInChunks(classes: Int, rows: Int) {
    let layer = Layer(rows: rows, classes: classes, hidden: 1, excluded: classes - 1)
    let whole = gradients(of: { layer.fused().loss }, for: layer.parameters)
    let nll = layer.fused().nll
    var sums = layer.parameters.map { Tensor.zeros($0.shape) }
    for row in 0..<rows {
      let alone = layer.row(row)
      #expect(distance(alone.fused().nll, nll.narrowed(dim: 0, to: row..<row + 1)) < 1e-5)
      let parts = gradients(of: { alone.fused().loss }, for: alone.parameters)
      sums[0].narrowed(dim: 0, to: row..<row + 1).copy(from: parts[0])
      for part in 1...2 { sums[part] = sums[part] + parts[part] }
    }
    // The gradient of a hidden state is a float32 sum over a million classes.
    for (found, expected) in zip(whole, sums) { #expect((found - expected).maxAbs().item < 5e-4) }
  }

  @Test func theGradientIsThatOfFiniteDifferences() {
    let layer = Layer(rows: 4, classes: 7, excluded: 6)
    let numerical = numericalGradients(of: { layer.fused().loss }, for: layer.parameters)
    for (found, expected) in zip(gradients(of: { layer.fused().loss }, for: layer.parameters), numerical) {
      #expect(distance(found, expected) < 2e-3)
    }
  }

  @Test func anExcludedClassHasNoProbabilityAndNoGradient() {
    let layer = Layer(rows: 4, classes: 7, excluded: 6)
    let before = layer.fused().nll
    let slopes = gradients(of: { layer.fused().loss }, for: layer.parameters)
    #expect(slopes[1].narrowed(dim: 0, to: 6..<7).maxAbs().item == 0)
    #expect(slopes[2].narrowed(dim: 0, to: 6..<7).item == 0)
    withoutGradients { layer.parameters[2].narrowed(dim: 0, to: 6..<7).fill(1e6) }
    #expect(distance(layer.fused().nll, before) == 0)
  }

  @Test func onlyTheLossCanBeDifferentiated() {
    let layer = Layer(rows: 2, classes: 5, excluded: nil)
    let slopes = gradients(
      of: { layer.fused().loss + layer.fused().nll.sum() }, for: layer.parameters)
    let expected = gradients(of: { layer.fused().loss }, for: layer.parameters)
    for (found, expected) in zip(slopes, expected) { #expect(distance(found, expected) == 0) }
  }

  @Test func aBiasAloneCanBeTrained() {
    let layer = Layer(rows: 3, classes: 5, excluded: nil)
    let bias = layer.parameters[2]
    let expected = gradients(of: { layer.fused().loss }, for: [bias])[0]
    let found = gradients(
      of: {
        layer.parameters[0].detached().negativeLogLikelihood(
          weight: layer.parameters[1].detached(), bias: bias, targets: layer.targets,
          lossWeights: layer.lossWeights, excluding: nil
        ).loss
      }, for: [bias])[0]
    #expect(distance(found, expected) < 1e-6)
  }

  @Test func nothingToPredictCostsNothing() {
    let layer = Layer(rows: 0, classes: 5, excluded: 4)
    #expect(layer.fused().loss.item == 0)
    #expect(layer.fused().nll.count == 0)
    for slope in gradients(of: { layer.fused().loss }, for: layer.parameters) {
      #expect(slope.array(of: Float.self).allSatisfy { $0 == 0 })
    }
  }

  @Test func hiddenStatesMayBeInBFloat16() {
    let layer = Layer(rows: 8, classes: 11, excluded: 10)
    let hidden = layer.parameters[0].detached().to(.bfloat16).requiringGradient()
    let parameters = [hidden] + layer.parameters[1...]
    let loss = {
      hidden.negativeLogLikelihood(
        weight: parameters[1], bias: parameters[2], targets: layer.targets, lossWeights: layer.lossWeights,
        excluding: 10
      ).loss
    }
    #expect(abs(loss().item / layer.fused().loss.item - 1) < 0.02)
    let expected = gradients(of: { layer.fused().loss }, for: layer.parameters)
    for (found, expected) in zip(gradients(of: loss, for: parameters), expected) {
      #expect(distance(found.to(.float32), expected) < 0.05)
    }
  }
}

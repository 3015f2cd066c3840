import Checkpoints
import EsoLM
import Files
import Torch

// Checkpoints as the field ships them.
extension Parity {
  /// A Lightning checkpoint: its tensors, its moving average, and what the network computes with each.
  static func lightningCheckpoint(_ parityCase: ParityCase) throws -> [String: [Double]] {
    let checkpoint = try Checkpoint(opening: "\(parityCase.folder)/esolm.ckpt")
    let network = try checkpoint.network(checkpoint.settings())
    guard network.maskToken == parityCase.maskToken else {
      throw FileError(
        "\(checkpoint.path): its mask token is \(network.maskToken), expected \(parityCase.maskToken)")
    }
    let (tokens, orders) = (try parityCase.tokens("xt"), try parityCase.permutations("order"))
    guard tokens.map(\.count) == orders.map(\.count) else {
      throw FileError("\(parityCase.inputs.path): 'order' does not fit 'xt'")
    }
    // The tokens are in the order of the slots already, masks among them.
    let sequences = zip(tokens, orders).map { tokens, positions in
      NetworkSequence(
        tokens: tokens, positions: positions, cleanCount: 0, masked: [], outputs: Array(tokens.indices))
    }
    var input = NetworkInput()
    input.append(sequences, pattern: .causal, maskToken: parityCase.maskToken)

    var found: [String: [Double]] = [:]
    for (label, which) in [("state", Checkpoint.Weights.model), ("ema", .average)] {
      let model = try checkpoint.model(network, which, device: parityCase.device)
      for (name, tensor) in model.namedParameters { found["\(label).\(name)"] = tensor.array() }
      found["logits.\(label)"] = withoutGradients { model.transformer().logits(input) }.array()
    }
    return found
  }
}

import EsoLM
import Torch

/// Gradients added up over processes, in pieces of one flat buffer, while the backward pass still runs.
///
/// A piece holds the gradients of parameters that are ready one after another. Pieces are sent in the same order by all
/// processes, whatever their share of the batch was.
final class GradientSum {
  private struct Piece {
    let parameters: Range<Int>
    /// All their gradients, one after another.
    let buffer: Tensor
    var missing: Int
  }

  /// A parameter that is larger is a piece.
  private static let pieceBytes = 32 << 20

  private let group: ProcessGroup
  /// Where the parameters are on GPUs that are joined, so are the sums; otherwise these are in the CPU's memory.
  private let gpus: GPUGroup?
  /// The model's parameters in the order in which their gradients come, and their places in the model.
  private let parameters: [Tensor]
  private let places: [Int]
  private var pieces: [Piece] = []
  private var next = 0
  private var sums = ProcessGroup.Sums()

  init(_ model: TransformerWeights, group: ProcessGroup) {
    self.group = group
    gpus = model.device == .cuda ? group.gpus : nil
    places = model.backwardOrder
    parameters = places.map { model.parameters[$0] }
    var start = 0
    while start < parameters.count {
      var (end, count) = (start, 0)
      while end < parameters.count, count == 0 || 4 * (count + parameters[end].count) <= Self.pieceBytes {
        count += parameters[end].count
        end += 1
      }
      let buffer = Tensor.zeros([count], device: gpus == nil ? .cpu : model.device)
      pieces.append(Piece(parameters: start..<end, buffer: buffer, missing: end - start))
      start = end
    }
  }

  /// The backward pass of a step's last loss in this process.
  func backward(_ loss: Tensor) {
    // Elsewhere than on the CPU gradients come on another thread, which must not call MPI.
    guard gpus != nil || parameters[0].device == .cpu else { return loss.backward() }
    loss.backward(from: parameters) { self.isReady($0) }
  }

  private func isReady(_ parameter: Int) {
    let place = pieces.firstIndex { $0.parameters.contains(parameter) }!
    pieces[place].missing -= 1
    while next < pieces.count, pieces[next].missing == 0 { send() }
    if gpus == nil { group.advance(&sums) }
  }

  /// Sends the next piece; its gradients are in the buffer alone from then on.
  private func send() {
    let piece = pieces[next]
    for (parameter, part) in zip(parameters[piece.parameters], parts(of: piece)) {
      if let gradient = parameter.gradient { part.copy(from: gradient) } else { part.fill(0) }
      parameter.clearGradient()
    }
    if let gpus {
      gpus.beginSum(piece.buffer)
    } else {
      piece.buffer.withUnsafeElements(of: Float.self) { group.begin($0, &sums) }
    }
    next += 1
  }

  private func parts(of piece: Piece) -> [Tensor] {
    var start = 0
    return parameters[piece.parameters].map { parameter in
      defer { start += parameter.count }
      return piece.buffer.narrowed(dim: 0, to: start..<start + parameter.count).reshaped(parameter.shape)
    }
  }

  /// Waits for the sums, one for each parameter in the model's order. They are good until the next backward pass.
  func finish() -> [Tensor] {
    withoutGradients {
      while next < pieces.count { send() }
      gpus?.finishSums()
      group.finish(&sums)
      next = 0
      for place in pieces.indices { pieces[place].missing = pieces[place].parameters.count }
      let device = parameters[0].device
      let found = Dictionary(uniqueKeysWithValues: zip(places, pieces.flatMap { parts(of: $0) }))
      return places.indices.map { found[$0]!.to(device) }
    }
  }
}

import Foundation
import Torch

/// Rotary position embedding (Su et al. 2021), base 10000, the first half of a head paired with the second.
///
/// Rows are sorted by generation order, their angles are those of their positions in the text.
struct RotaryTable {
  let cosine: Tensor  // [positions, head size / 2]
  let sine: Tensor
  let heads: Int

  /// Angles in float32, step by step as the published networks compute them: at positions in the thousands, more
  /// precise angles would differ from those that a checkpoint was trained with.
  init(positions: Int, headSize: Int, heads: Int, device: Device) {
    let half = headSize / 2
    let frequencies = (0..<half).map { 1 / powf(10000, Float(2 * $0) / Float(headSize)) }
    let angles = (0..<positions).flatMap { position in frequencies.map { Float(position) * $0 } }
    cosine = Tensor(angles.map { Float(cos(Double($0))) }, shape: [positions, half]).to(device)
    sine = Tensor(angles.map { Float(sin(Double($0))) }, shape: [positions, half]).to(device)
    self.heads = heads
  }

  var positionCount: Int { cosine.size(0) }

  func angles(at positions: Tensor) -> RotaryAngles { RotaryAngles(table: self, positions: positions) }
}

/// The table of one network, made once and made longer when a position asks for it.
final class RotaryCache {
  private var table: RotaryTable?
  private let configuration: TransformerConfiguration
  private let device: Device

  init(_ configuration: TransformerConfiguration, device: Device) {
    self.configuration = configuration
    self.device = device
  }

  /// The angles of rows at these positions.
  func angles(at positions: [Int64]) -> RotaryAngles {
    table(for: Int(positions.max() ?? 0) + 1).angles(at: Tensor(positions).to(device))
  }

  /// A table of at least so many positions.
  func table(for needed: Int) -> RotaryTable {
    if table.map({ $0.positionCount < needed }) ?? true {
      table = RotaryTable(
        positions: max(needed, 2 * (table?.positionCount ?? 64)), headSize: configuration.headSize,
        heads: configuration.numHeads, device: device)
    }
    return table!
  }
}

/// The angles of the rows of one network call.
struct RotaryAngles {
  let table: RotaryTable
  let positions: Tensor  // int64 [rows]

  /// From the qkv projection [rows, 3·hidden] to query, key and value, [rows, heads, head size], the first two turned.
  func split(_ qkv: Tensor) -> (query: Tensor, key: Tensor, value: Tensor) {
    qkv.splitRotary(cosine: table.cosine, sine: table.sine, positions: positions, heads: table.heads)
  }
}

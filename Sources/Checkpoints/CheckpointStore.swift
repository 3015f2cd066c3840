import EsoLM
import Files
import Foundation
import Torch

/// The checkpoints of a run: `checkpoints/step-N`, each complete or not there.
///
/// A checkpoint is written into a folder of another name and synced; then it gets its own name, in one step, and after that
/// `latest` turns to it, in one step. What is no longer kept is deleted only then.
struct CheckpointStore {
  /// The run's folder.
  let run: String

  static let folderName = "checkpoints"
  static let latestName = "latest"
  static let bestName = "best"
  static let optimizerName = "optimizer.safetensors"

  private var folder: String { "\(run)/\(Self.folderName)" }

  func path(_ name: String) -> String { "\(folder)/\(name)" }

  /// The name of a step's checkpoint, so that names sort as steps do.
  static func name(step: Int) -> String {
    "step-" + String(repeating: "0", count: max(0, 8 - "\(step)".count)) + "\(step)"
  }

  /// What is there, the newest first: checkpoints that were given their name, by step.
  func names() -> [(name: String, step: Int)] {
    let found = (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    return found.compactMap { name in
      name.hasPrefix("step-") ? Int(name.dropFirst("step-".count)).map { (name, $0) } : nil
    }
    .sorted { $0.step > $1.step }
  }

  // MARK: Writing

  /// Writes a checkpoint and turns `latest` to it.
  ///
  /// - Parameter fill: writes the files into a folder and names them.
  func write(_ manifest: CheckpointManifest, fill: (_ folder: String) throws -> [String]) throws {
    let name = Self.name(step: manifest.step)
    let (final, temporary) = (path(name), path(".\(name).tmp"))
    let files = FileManager.default
    do {
      try? files.removeItem(atPath: temporary)
      try Folder.make(temporary)
      var manifest = manifest
      try manifest.seal(temporary, files: try fill(temporary))
      // A checkpoint of this step that is there already is of a run that was killed, or damaged.
      try? files.removeItem(atPath: final)
      try Folder.rename(temporary, to: final)
    } catch {
      try? files.removeItem(atPath: temporary)
      throw error
    }
    try AtomicFile.link("\(run)/\(Self.latestName)", to: "\(Self.folderName)/\(name)")
  }

  /// Deletes what is not kept: all but the last few checkpoints, and the best if that is kept, which `best` then shows.
  /// Steps after the newest were left by a run that was killed or went back, and are no part of this one.
  func prune(newest step: Int, keepLast: Int, keepsBest: Bool) throws {
    var kept = Set(names().filter { $0.step <= step }.prefix(keepLast).map(\.name))
    if keepsBest {
      let measured = names().filter { $0.step <= step }.compactMap { name, _ in
        (try? CheckpointManifest.read(path(name)))?.validationNELBO.map { (name: name, nelbo: $0) }
      }
      if let best = measured.min(by: { $0.nelbo < $1.nelbo }) {
        kept.insert(best.name)
        let target = "\(Self.folderName)/\(best.name)"
        let link = "\(run)/\(Self.bestName)"
        if (try? FileManager.default.destinationOfSymbolicLink(atPath: link)) != target {
          try AtomicFile.link(link, to: target)
        }
      }
    }
    for other in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? [] where !kept.contains(other) {
      try? FileManager.default.removeItem(atPath: path(other))
    }
  }
}

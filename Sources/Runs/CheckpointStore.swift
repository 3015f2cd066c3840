import EsoLM
import Files
import Foundation
import Torch

/// The checkpoints of a run: `checkpoints/step-N`, each complete or not there.
///
/// A checkpoint is written into a folder of another name and synced; then it gets its own name, in one step, and after that
/// `latest` turns to it, in one step. What is no longer kept is deleted only then. Nothing is ever deleted but what a
/// checkpoint's manifest lists, and what was left of a save: other files and folders are somebody's.
package struct CheckpointStore {
  /// The run's folder.
  let run: String

  package init(run: String) { self.run = run }

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
      guard let step = Int(name.dropFirst("step-".count)), name == Self.name(step: step) else { return nil }
      return (name, step)
    }
    .sorted { $0.step > $1.step }
  }

  /// Of these, those that lie here and are what their names say, with their manifests.
  private func checkpoints() -> [(name: String, manifest: CheckpointManifest)] {
    names().compactMap { name, step in
      let isLink = (try? FileManager.default.destinationOfSymbolicLink(atPath: path(name))) != nil
      guard !isLink, let manifest = try? CheckpointManifest.read(path(name)), manifest.step == step else { return nil }
      return (name, manifest)
    }
  }

  /// The lowest validation loss of those of earlier steps; nil if none was measured.
  func lowestNELBO(before step: Int) -> Double? {
    checkpoints().filter { $0.manifest.step < step }.compactMap(\.manifest.validationNELBO).min()
  }

  // MARK: Writing

  /// Writes a checkpoint and turns `latest` to it.
  ///
  /// - Parameter fill: writes the files into a folder and names them.
  package func write(_ manifest: CheckpointManifest, fill: (_ folder: String) throws -> [String]) throws {
    let name = Self.name(step: manifest.step)
    try makeRoom(for: name)
    try FolderDraft.write(to: path(name)) { draft in
      var manifest = manifest
      try manifest.seal(draft, files: try fill(draft))
    }
    try AtomicFile.link("\(run)/\(Self.latestName)", to: "\(Self.folderName)/\(name)")
  }

  /// A checkpoint of the same step is of a run that was killed, or damaged. What is no checkpoint gets another name.
  private func makeRoom(for name: String) throws {
    if let earlier = checkpoints().first(where: { $0.name == name }) { remove(earlier.name, earlier.manifest) }
    guard (try? FolderDraft.requireFree(path(name))) == nil else { return }
    let other = (1...).lazy.map { "\(name)-other-\($0)" }.first { !FileManager.default.fileExists(atPath: path($0)) }!
    try Folder.rename(path(name), to: path(other))
  }

  /// Deletes what is not kept: all but the last few checkpoints, and the best if that is kept, which `best` then shows.
  /// Steps after the newest were left by a run that was killed or went back, and are no part of this one.
  func prune(newest step: Int, keepLast: Int, keepsBest: Bool) throws {
    let all = checkpoints()
    let own = all.filter { $0.manifest.step <= step }
    var kept = Set(own.prefix(keepLast).map(\.name))
    let measured = own.compactMap { name, manifest in manifest.validationNELBO.map { (name: name, nelbo: $0) } }
    if keepsBest, let best = measured.min(by: { $0.nelbo < $1.nelbo }) {
      kept.insert(best.name)
      let target = "\(Self.folderName)/\(best.name)"
      let link = "\(run)/\(Self.bestName)"
      if (try? FileManager.default.destinationOfSymbolicLink(atPath: link)) != target {
        try AtomicFile.link(link, to: target)
      }
    }
    for (name, manifest) in all where !kept.contains(name) { remove(name, manifest) }
    // Of one whose removal a kill cut short the empty folder may be left.
    for (name, _) in names() { rmdir(path(name)) }
  }

  /// Deletes a checkpoint, the manifest last, so that what a kill leaves of it is still known as one.
  private func remove(_ name: String, _ manifest: CheckpointManifest) {
    for file in manifest.files.keys.sorted() + [CheckpointManifest.fileName] { unlink("\(path(name))/\(file)") }
    rmdir(path(name))
  }

  /// Deletes what saves that were killed left, for the one process that may write here.
  func removeLeftovers() {
    Temporary.removeLeftovers(in: run, isLocked: true)
    Temporary.removeLeftovers(in: folder, isLocked: true)
    // As earlier versions called them.
    for name in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    where name.wholeMatch(of: #/\.step-\d{8,}\.tmp/#) != nil {
      try? FileManager.default.removeItem(atPath: path(name))
    }
  }
}

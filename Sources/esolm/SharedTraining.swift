import ArgumentParser
import Files
import Foundation
import Revision
import Tool
import Torch
import Training

/// A training that several processes may share.
enum SharedTraining {
  /// Joins the processes, if there are any, and trains.
  ///
  /// - Parameters:
  ///   - threads: of each process, where the user said so.
  ///   - device: where they compute.
  ///   - body: what each process does.
  static func run(threads: Int?, on device: Device, _ body: (ProcessGroup) throws -> Void) throws {
    let share = ProcessorShare.claim()
    if let threads = threads ?? share { Torch.threadCount = threads }
    let group = try ProcessGroup.joining()
    do {
      try group.requireEqual(Revision.current, "build")
      try group.requireEqual(CommandLine.arguments.dropFirst().joined(separator: " "), "command line")
      if device == .cuda { try group.joinGPUs() }
      try body(group)
    } catch {
      guard group.count > 1 else { throw error }
      // What all processes know, the leader says, and ends the others meanwhile: by a signal, at which sleep returns early.
      if !group.isLeader, sleep(5) > 0 { throw ExitCode.failure }
      let place = group.isLeader ? "" : "process \(group.rank) of \(group.count): "
      printError(
        "esolm: error: \(place)\(EsoLMCommand.message(for: error).split(separator: "\n").joined(separator: " "))")
      group.abort()
      throw error
    }
    group.leave()
  }

  /// Makes the trainer of each process: the leader starts the run, or opens it to go on; the others read what it wrote.
  static func trainer(
    of path: String?, device: Device, group: ProcessGroup, leading: () throws -> Trainer
  ) throws -> Trainer {
    let configuration = "\(path ?? "")/config.json"
    let before = group.isLeader ? try? Data(contentsOf: URL(fileURLWithPath: configuration)) : nil
    do {
      let led = try group.agreeing { group.isLeader ? try leading() : nil }
      let trainer = try group.agreeing { try led ?? Trainer(following: path ?? "", device: device, group: group) }
      // One that could not read the newest checkpoint took an older one.
      try group.requireEqual("\(trainer.learner.step)", "step to go on from")
      return trainer
    } catch {
      // A run that one of the processes cannot go on with stays as it was.
      if let before { try? AtomicFile.write(before, to: configuration) }
      throw error
    }
  }
}

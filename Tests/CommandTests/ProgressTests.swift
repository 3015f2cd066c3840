import CommandSupport
import Foundation
import TestSupport
import Testing

/// Work that may take long tells on a terminal which share of it is done, and how long the rest will take.
@Suite("Progress")
struct ProgressTests {
  @Test(arguments: [
    ("eval $run", ["NELBO"]),
    ("eval $run --exact --orders 2", ["NELBO", "exact", "IMDCE"]),
    ("eval choice $run --data $questions", ["1 questions"]),
    ("eval score $run --text the --span 0:1", ["16 orders"]),
    ("eval entropy $run --num-samples 3", ["writing samples"]),
    ("eval gen-ppl $run --num-samples 3 --judge $run", ["writing samples", "judging"]),
    ("eval zero-shot $run --data-dir $sets", ["zero-shot"]),
    ("sample $run --num-samples 3", ["writing"]),
    ("sample $run --prompts $prompts", ["looking at prompts", "writing"]),
    ("tokenize $text --tokenizer bytes --out $out", ["tokenising"]),
    ("tokenizer train $text --vocabulary-size 400 --out $out", ["counting words"]),
    ("convert $run $out", ["writing"]),
    ("convert $run $out.safetensors", ["writing"]),
    ("verify $fixture $fixture", ["verifying"]),
    ("verify --batch-invariance $run", ["each alone"]),
    (
      "bench sample --model tiny --vocabulary 20 --methods ar --lengths 4 --nfe 1 --seconds 0.1", ["AR, L = 4, NFE = 4"]
    ),
    (
      "train --data $text --out $out --steps 2 --validate-every 1 --hidden-size 16 --blocks 1 --heads 2 --batch 4 "
        + "--length 16", ["looking for characters", "step 1/2  loss"]
    ),
    (
      "compare --methods ar --steps 2 --batch 2 --length 8 --samples 2 --orders 1 --data $text --out $out "
        + "--hidden-size 16 --blocks 1 --heads 2", ["AR: measuring", "AR: sampling"]
    ),
  ])
  func longWorkTellsItsShareAndWhatIsLeft(command: String, work: [String]) async throws {
    let folder = try Scratch.folder()
    let sets = "\(folder)/sets"
    try FileManager.default.createDirectory(atPath: sets, withIntermediateDirectories: true)
    try Esolm.text.write(to: "\(sets)/ptb.txt")
    let question = #"{"ctx": "the cat", "endings": ["sees", "likes"], "label": 0}"#
    let places = [
      "$run": try await Esolm.trained(), "$text": try Scratch.file(Esolm.text.utf8), "$out": "\(folder)/out",
      "$questions": try Scratch.file(question.utf8), "$sets": sets, "$fixture": Fixtures.path(of: "noise_schedule"),
      "$prompts": try Scratch.file(#"{"template": "the [[..3]] sees"}"#.utf8),
    ]
    let arguments = command.split(separator: " ").map { word in
      places.reduce(String(word)) { $0.replacingOccurrences(of: $1.key, with: $1.value) }
    }
    let shown = try await Esolm.shown(by: arguments)
    for work in work {
      let lines = shown.split(whereSeparator: \.isNewline)
      let line = try #require(lines.first { $0.hasPrefix("\u{1B}[K\(work)") }, "\(work): \(shown)")
      #expect(line.contains(#/ ETA (–|\d+:\d\d)/#), "\(line)")
      if !work.hasPrefix("step") { #expect(line.contains(#/ \d+\.\d %/#), "\(line)") }
    }
    // The line goes when the work is done.
    #expect(shown.hasSuffix("\u{1B}[K") || shown.last?.isNewline == true)
  }
}

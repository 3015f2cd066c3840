import CommandSupport
import Foundation
import Testing

/// What does not fit is refused with one clear line, before anything is written.
@Suite("Bad input")
struct BadInputTests {
  /// A command line and the line that it gets. $out is a folder that does not exist, $text a text file, $run a run.
  struct Refusal: Sendable, CustomTestStringConvertible {
    let arguments: String
    let message: String
    let status: Int32
    var testDescription: String { arguments }

    /// What cannot be done.
    static func failure(_ arguments: String, _ message: String) -> Refusal {
      Refusal(arguments: arguments, message: message, status: 1)
    }

    /// What cannot be meant; the line then ends with where to look.
    static func usage(_ arguments: String, _ message: String) -> Refusal {
      Refusal(arguments: arguments, message: message, status: 2)
    }

    var line: String {
      // What is measured is a command of its own.
      let words = arguments.split(separator: " ").prefix(arguments.hasPrefix("bench ") ? 2 : 1)
      let command = words.joined(separator: " ")
      return "esolm: error: \(message)\(status == 2 ? " (see esolm \(command) --help)" : "")\n"
    }
  }

  static let train = [
    Refusal.failure("--data $dir/none.txt", "cannot read $dir/none.txt: there is no such file"),
    .failure("--data $text --data $dir/none.txt", "cannot read $dir/none.txt: there is no such file"),
    .failure("--data $dir/empty.txt", "$dir/empty.txt holds no text"),
    .failure("--data $dir/latin1.txt", "$dir/latin1.txt: byte 3, in line 1, is 0xE9; expected UTF-8 text"),
    .failure(
      "--data $dir/short.txt",
      "$dir/short.txt has 6 tokens; length 128 and a validation share of 0.1 need at least 256"),
    .failure(
      "--data $dir/short.txt --length 4 --tokenizer bytes",
      "$dir/short.txt has 6 tokens; length 4 and a validation share of 0.1 need at least 8"),
    .failure(
      "--data $text --length 100000",
      "$text has 1361 tokens; length 100000 and a validation share of 0.1 need at least 200000"),
    .usage("--data $text --alpha0 1.5", "--alpha0 is 1.5, expected a number from 0 (autoregressive) to 1 (diffusion)"),
    .usage("--data $text --alpha0=-1", "--alpha0 is -1.0, expected a number from 0 (autoregressive) to 1 (diffusion)"),
    .usage("--data $text --alpha0 nan", "--alpha0 is 'nan', expected a number"),
    .usage("--data $text --alpha0 half", "--alpha0 is 'half', expected a number"),
    .usage("--data $text --algo gpt", "--algo is 'gpt', expected esolm-b, esolm-a, esolm-a2, ar, mdlm or bd3lm"),
    .usage(
      "--data $text --steps 010",
      "--steps is 010, expected a number without leading zeros, _ and :, which programs read differently, or a text in quotes"
    ),
    .usage("--data $text --length 1", "--length is 1, expected 2 to 1048576"),
    .usage("--data $text --length 9999999", "--length is 9999999, expected 2 to 1048576"),
    .usage("--data $text --batch 0", "--batch is 0, expected 1 to 1048576"),
    .usage(
      "--data $text --batch 1",
      "--batch is 1, expected at least 2 where 0 < alpha0 < 1, since a batch is split between two terms"),
    .usage("--data $text --heads 0", "--heads is 0, expected 1 to 256"),
    .usage(
      "--data $text --hidden-size 64 --heads 5",
      "--heads is 5, expected heads of one even size, so that 2 · numHeads divides hiddenSize 64"),
    .usage("--data $text --hidden-size 1", "--hidden-size is 1, expected 2 to 65536"),
    .usage("--data $text --blocks 0", "--blocks is 0, expected 1 to 1024"),
    .usage("--data $text --conditioning-size 0", "--conditioning-size is 0, expected 1 to 65536"),
    .usage("--data $text --dropout 1", "--dropout is 1.0, expected a number from 0 up to, not including, 1"),
    .usage("--data $text --loss low_var", "--loss is low_var, expected elbo where alpha0 is below 1"),
    .usage(
      "--data $text --objective any-order --alpha0 1 --loss low_var",
      "--loss is low_var, expected elbo with objective any-order, which weighs all tokens alike"),
    .usage(
      "--data $text --algo mdlm --objective any-order",
      "--objective is any-order, expected none with mdlm: it belongs to esolm-b"),
    .usage(
      "--data $text --left-to-right-share 0.5",
      "--left-to-right-share is 0.5, expected none, but with objective any-order"),
    .usage(
      "--data $text --objective any-order --left-to-right-share 2",
      "--left-to-right-share is 2.0, expected 0 to 1"),
    .usage("--data $text --steps 0", "--steps is 0, expected at least 1"),
    .usage("--data $text --learning-rate 0", "--learning-rate is 0.0, expected a number above 0"),
    .usage("--data $text --warmup=-1", "--warmup is -1, expected at least 0"),
    .usage("--data $text --weight-decay=-1", "--weight-decay is -1.0, expected a number from 0"),
    .usage("--data $text --clip 0", "--clip is 0.0, expected a number above 0"),
    .usage("--data $text --ema 1", "--ema is 1.0, expected a number from 0 up to, not including, 1"),
    .usage("--data $text --validation-fraction 1", "--validation-fraction is 1.0, expected a number between 0 and 1"),
    .usage("--data $text --validation-sequences 0", "--validation-sequences is 0, expected at least 1"),
    .usage("--data $text --validate-every 0", "--validate-every is 0, expected at least 1"),
    .usage("--data $text --save-every 0", "--save-every is 0, expected at least 1"),
    .usage("--data $text --threads 0", "--threads is 0, expected 1 to 1024"),
    .usage("--data $text --algo mdlm --alpha0 0.5", "--alpha0 is 0.5, expected none with mdlm: it belongs to Eso-LM"),
    .usage(
      "--data $text --algo bd3lm --loss low_var",
      "--loss is low_var, expected none with bd3lm: it belongs to Eso-LM and MDLM"),
    .usage("--data $text --prepend bos", "--prepend is bos, expected none with esolm-b: it belongs to AR"),
    .usage(
      "--data $text --algo mdlm --adaln", "--adaln is true, expected none with mdlm, which always has it: it is for ar"),
    .usage("--data $text --algo ar --block-size 4", "--block-size is 4, expected none with ar: it belongs to BD3-LM"),
    .usage(
      "--data $text --algo ar --noise-range search",
      "--noise-range is search, expected none with ar: it belongs to BD3-LM"),
    .usage(
      "--data $text --keep-first-token", "--keep-first-token is true, expected none with esolm-b: it belongs to BD3-LM"),
    .usage(
      "--data $text --algo bd3lm --block-size 7", "--block-size is 7, expected a number that divides the length 128"),
    .usage(
      "--data $text --algo bd3lm --noise-range 0.9,0.4",
      "--noise-range is 0.9,0.4, expected two times with 0 <= low < high <= 1, or 'search'"),
    .usage("", "--data is missing: name a text file, a --dataset, or a run to --resume"),
    .usage(
      "--data $text --resume $run", "--resume $run goes on with a run, expected neither --out nor --init-from"),
    .usage("--data $text --micro-batch 5", "--micro-batch is 5, expected a divisor of 32, the sequences of a process"),
    .usage("--data $text --decay log", "--decay is 'log', expected constant, cosine, linear or step"),
    .usage("--data $text --final-share 2", "--final-share is 2.0, expected a number from 0 to 1"),
    .usage("--data $text --decay-every 0", "--decay-every is 0, expected at least 1"),
    .usage("--data $text --decay-factor 0", "--decay-factor is 0.0, expected a number above 0, at most 1"),
    .usage("--data $text --sample-texts 65", "--sample-texts is 65, expected 0 to 64"),
    .usage(
      "--data $text training.batchsize=5", "there is no setting training.batchsize; the nearest is training.batchSize"),
    .usage("--data $text training.batchSize=x", "training.batchSize is 'x', expected a whole number"),
    .usage("--data $text training.batchSize=0", "training.batchSize is 0, expected 1 to 1048576"),
    .usage(
      "$text", "found $text, expected a configuration (.yaml) or key=value; text to learn from is named by --data"),
    .usage(
      "--data $text training.steps",
      "found training.steps, expected a configuration (.yaml) or key=value; text to learn from is named by --data"),
    .usage("--data $text =5", "'=5' is no setting, expected key=value"),
    .usage(
      "--data $text method.algorithm=mdlm method.alpha0=0.5",
      "method.alpha0 is 0.5, expected none with mdlm: it belongs to Eso-LM"),
    .failure("--data $text $dir/none.yaml", "cannot read $dir/none.yaml: there is no such file"),
    .usage(
      "--data $text $dir/key.yaml $dir/pair.yaml", "found 2 configurations, $dir/key.yaml, $dir/pair.yaml, expected one"
    ),
    .failure(
      "--data $text $dir/key.yaml", "$dir/key.yaml:2: there is no setting training.stpes; the nearest is training.steps"
    ),
    .failure("--data $text $dir/kind.yaml", "$dir/kind.yaml:3: training.batchSize is 'many', expected a whole number"),
    .failure(
      "--data $text $dir/text.yaml",
      "$dir/text.yaml:2: data.field is 5, expected a text; numbers and words such as true are one in quotes"),
    .failure(
      "--data $text $dir/octal.yaml",
      "$dir/octal.yaml:2: training.steps is 010, expected a number without leading zeros, _ and :, which programs read differently, or a text in quotes"
    ),
    .failure(
      "--data $text $dir/pair.yaml",
      "$dir/pair.yaml:3: method.alpha0 is 0.5, expected none with mdlm: it belongs to Eso-LM"),
    .usage(
      "--data $text $dir/pair.yaml --alpha0 0.25", "--alpha0 is 0.25, expected none with mdlm: it belongs to Eso-LM"),
    .failure(
      "--data $text $dir/circle.yaml", "$dir/circle.yaml:1: extends is circle.yaml, which leads back to this file"),
    .failure(
      "--data $text $dir/base.yaml",
      "$dir/base.yaml:1: extends is none.yaml: cannot read $dir/none.yaml: there is no such file"),
    .failure("--data $text $dir/anchor.yaml", "$dir/anchor.yaml:1: found an anchor (&…), expected values written out"),
    .failure("--data $text $dir/twice.yaml", "$dir/twice.yaml:2: steps is given twice"),
  ].map { Refusal(arguments: "train --out $out \($0.arguments)", message: $0.message, status: $0.status) }

  static let others = [
    Refusal.usage("train --data $text", "--out is missing: name the run folder to make"),
    .failure(
      "train --data $text --out $run",
      "$run already holds files; name a new folder, or go on with a run by --resume $run"),
    .failure("train --data $text --out $text", "cannot make the folder $text: File exists"),
    .failure("train --data $text --out $text/run", "cannot make the folder $text/run: Not a directory"),
    .failure("train --resume $dir/none", "$dir/none is no run folder: there is no such folder"),
    .failure("train --resume $dir", "$dir is no complete run folder: config.json is missing"),
    .usage(
      "train --resume $run --print-config",
      "--print-config tells what a new run would be, expected no --resume; that run's is in $run/config.json"),
    .usage("train --data $text --data $text --out $out", "$text is named 2 times as data, expected once"),
    .usage("train data.paths=[''] --out $out", "found an empty path, expected the name of a file or folder"),
    .usage("train --resume $run --steps 59", "--steps is 59, expected at least 60, where $run is already"),
    .usage(
      "train --resume $run --alpha0 1",
      "--alpha0 is 1.0, expected 0.5, as $run was begun: --resume changes no setting of the training"),
    .usage(
      "train --resume $run training.seed=7",
      "training.seed is 7, expected 0, as $run was begun: --resume changes no setting of the training"),
    .usage(
      "train --resume $run --block-size 4",
      "--block-size is 4, expected none with --resume: it is a setting that $run was begun with"),
    .usage(
      "train --resume $run --micro-batch 3", "--micro-batch is 3, expected a divisor of 4, the sequences of a process"),
    .failure("sample $dir/none", "$dir/none is no run folder: there is no such folder"),
    .failure("sample $text", "$text is no run folder: it is a file"),
    .usage("sample", "Missing expected argument '<run>'"),
    .usage("sample $run --steps 0", "--steps is 0, expected at least 1"),
    .usage("sample $run --steps=-3", "--steps is -3, expected at least 1"),
    .usage("sample $run --alpha0 1.01", "--alpha0 is 1.01, expected 0.0 to 1.0"),
    .usage("sample $run --alpha0 nan", "--alpha0 is nan, expected 0.0 to 1.0"),
    .usage("sample $run --top-p 0", "--top-p is 0.0, expected a number above 0 and at most 1"),
    .usage("sample $run --top-p 1.1", "--top-p is 1.1, expected a number above 0 and at most 1"),
    .usage("sample $run --top-p nan", "--top-p is nan, expected a number above 0 and at most 1"),
    .usage("sample $run --top-k 0", "--top-k is 0, expected at least 1"),
    .usage("sample $run --temperature=-1", "--temperature is -1.0, expected a finite number from 0"),
    .usage("sample $run --length 0", "--length is 0, expected 1 to 1048576"),
    .usage("sample $run --num-samples 0", "--num-samples is 0, expected 1 to 16777216"),
    .usage("sample $run --batch 0", "--batch is 0, expected 1 to 65536"),
    .usage(
      "sample $run --schedule block --steps 17",
      "--steps is 17, expected 1 to the 16 tokens to write with schedule block"),
    .usage(
      "sample $run --schedule first-hitting",
      "--schedule is first-hitting, expected ancestral or left-to-right or block or block-shuffled or adaptive for Eso-LM"
    ),
    .usage("sample $run --choose margin", "--schedule is not named, expected adaptive, where it is said how to choose"),
    .usage(
      "sample $run --schedule adaptive --threshold=-1", "--threshold is -1.0, expected a finite number of nats from 0"),
    .usage(
      "sample $run --schedule adaptive --choose margin --threshold 1.5",
      "--threshold is 1.5, expected a probability from 0 to 1"),
    .usage("sample $run --schedule adaptive --calls 0", "--calls is 0, expected at least 1"),
    .usage("sample $run --schedule adaptive --window 0", "--window is 0, expected at least 1"),
    .usage(
      "sample $run --candidate-order farthest-first",
      "--schedule is not named, expected adaptive, where it is said how to choose"),
    .usage(
      "sample $run --schedule adaptive --calls 4 --threshold 1", "--calls is 4 beside a threshold, expected one of both"
    ),
    .usage(
      "sample $run --schedule adaptive --calls 17",
      "--calls is 17, expected 1 to 16, of which 0 write a token each from left to right"),
    .usage(
      "sample $run --schedule adaptive --steps 4",
      "--steps is 4, expected none with schedule adaptive, which takes calls or a threshold"),
    .usage("sample $run --draft 65", "--draft is 65, expected 0 to 64, or auto"),
    .usage("sample $run --draft=-1", "--draft is -1, expected 0 to 64, or auto"),
    .usage("sample $run --draft-order random", "--draft-order goes with --draft"),
    .usage(
      "sample $run --draft 4 --steps 4", "--steps is 4, expected none with drafts, which write one token at a time"),
    .usage(
      "sample $run --draft 4 --schedule block",
      "--schedule is block, expected none with drafts, which write one token at a time"),
    .usage("sample $run --best-of 0", "--best-of is 0, expected 1 to 65536"),
    .usage("sample $run --best-of 2 --stream", "--best-of goes with neither --stream nor --watch"),
    .usage("sample $run --beam 0", "--beam is 0, expected 1 to 65536"),
    .usage(
      "sample $run --beam 4 --steps 3", "--beam goes without --steps: it writes one token a call, and draws none"),
    .usage(
      "sample $run --beam 4 --best-of 3", "--beam goes without --best-of: it writes one token a call, and draws none"),
    .usage(
      "sample $run --beam 2 --num-samples 3", "--num-samples is 3, expected at most the 2 texts of --beam"),
    .usage(
      "sample $run --beam 2 --top-k 3", "--beam goes without --top-k: it writes one token a call, and draws none"),
    .usage(
      "sample $run --no-cache --cache-precision bf16",
      "--cache-precision goes without --no-cache, which keeps no keys and values"),
    .usage(
      "bench sample --methods ar --model tiny --lengths 16 --nfe 0.5",
      "--nfe is 0.5, expected a share that one of ar has a plan of"),
    .usage("bench quality $run --steps 0", "--steps holds '0', expected a number from 1 to 1048576"),
    .usage("bench quality $run --steps 4,17", "--steps has 17, expected at most 16, the tokens of a text of $run"),
    .usage("bench quality $run --draft 0", "--draft is 0, expected 1 to 64"),
    .usage("bench quality $run --num-samples 0", "--num-samples is 0, expected 1 to 1048576"),
    .usage("bench quality $run --out a.png", "--out is a.png, expected a name ending in .html or .svg"),
    .usage("bench quality $run --judge-tokenizer x", "--judge-tokenizer goes with --judge"),
    .failure("bench quality $dir/none", "$dir/none is no run folder: there is no such folder"),
    .usage("sample $run --algo mdlm", "--algo is mdlm, expected esolm-b, which $run was trained by"),
    .usage("eval $run --algo ar", "--algo is ar, expected esolm-b, which $run was trained by"),
    .failure("eval $dir/none", "$dir/none is no run folder: there is no such folder"),
    .failure("eval $run --data $dir/none.txt", "cannot read $dir/none.txt: there is no such file"),
    .failure("eval $run --data $dir/latin1.txt", "$dir/latin1.txt: byte 3, in line 1, is 0xE9; expected UTF-8 text"),
    .failure("eval $run --data $dir/tiny.txt", "$dir/tiny.txt has 5 tokens; length 16 needs at least 16"),
    .failure(
      "eval $run --data $dir/foreign.txt",
      "$dir/foreign.txt: line 2: character \"Z\" (U+005A) is not in the tokenizer's vocabulary"),
    .usage("eval $run --orders 0", "--orders is 0, expected 1 to 1048576"),
    .usage("eval $run --draws 0", "--draws is 0, expected 1 to 1048576"),
    .usage("eval $run --batch 0", "--batch is 0, expected 1 to 65536"),
    .usage("eval $run --max-sequences 0", "--max-sequences is 0, expected at least 1"),
    .usage("eval $run --alpha0 2", "--alpha0 is 2.0, expected 0.0 to 1.0"),
    .usage("verify", "expected folders of cases, or --batch-invariance with a run"),
    .usage("verify x --best", "--best goes with --batch-invariance: cases are computed in float32"),
  ]

  @Test(arguments: train + others) func isRefusedInOneLineAndNothingIsWritten(refusal: Refusal) async throws {
    let (folder, run) = (try Scratch.folder(), try await Scratch.copy(of: Esolm.trained()))
    let files = [
      "text.txt": Data(Esolm.text.utf8), "empty.txt": Data(), "short.txt": Data("short".utf8),
      "tiny.txt": Data("cat\n".utf8), "latin1.txt": Data("caf\u{E9} ".unicodeScalars.map { UInt8($0.value) }),
      "foreign.txt": Data("the cat\nthe Zebra sees the cat.\n".utf8),
      "key.yaml": Data("training:\n  stpes: 5\n".utf8),
      "kind.yaml": Data("training:\n  steps: 5\n  batchSize: many\n".utf8),
      "text.yaml": Data("data:\n  field: 5\n".utf8), "octal.yaml": Data("training:\n  steps: 010\n".utf8),
      "pair.yaml": Data("method:\n  algorithm: mdlm\n  alpha0: 0.5\n".utf8),
      "circle.yaml": Data("extends: circle.yaml\n".utf8), "base.yaml": Data("extends: none.yaml\n".utf8),
      "anchor.yaml": Data("training: &a\n  steps: 5\n".utf8),
      "twice.yaml": Data("training:\n  steps: 5\n  steps: 6\n".utf8),
    ]
    for (name, contents) in files { try contents.write(to: URL(fileURLWithPath: "\(folder)/\(name)")) }
    func filled(_ text: String) -> String {
      [("$run", run), ("$text", "\(folder)/text.txt"), ("$out", "\(folder)/out"), ("$dir", folder)]
        .reduce(text) { $0.replacingOccurrences(of: $1.0, with: $1.1) }
    }
    let before = (try Scratch.snapshot(folder), try Scratch.snapshot(run))
    let result = try await Esolm.run(filled(refusal.arguments).split(separator: " ").map(String.init))
    #expect(result.error == filled(refusal.line))
    #expect(result.status == refusal.status)
    #expect(result.output == "")
    #expect(try Scratch.snapshot(folder) == before.0)
    #expect(try Scratch.snapshot(run) == before.1)
  }

  @Test(arguments: [["--batch", "1048576"], ["--hidden-size", "65536", "--heads", "256", "--blocks", "1024"]])
  func trainingThatNoMachineHasTheMemoryForIsNotBegun(sizes: [String]) async throws {
    let (data, out) = (try Scratch.file(Esolm.text.utf8), "\(try Scratch.folder())/run")
    let result = try await Esolm.run(["train", "--data", data, "--out", out] + sizes)
    let message =
      #/esolm: error: training needs at least \d+\.\d GB of memory, this machine has \d+\.\d GB; .*\n/#
    #expect(result.error.wholeMatch(of: message) != nil)
    #expect(result.status == 1)
    #expect(!FileManager.default.fileExists(atPath: out))
  }

  @Test func memoryThatRunsOutIsOneLine() async throws {
    let run = try await Esolm.trained()
    let arguments = [
      "sample", run, "--length", "1048576", "--allow-longer", "--num-samples", "4", "--alpha0", "1", "--steps", "1",
    ]
    let result = try await Command.run(
      "/bin/sh", ["-c", #"ulimit -v 3000000 && exec "$0" "$@""#, Esolm.executable()] + arguments,
      environment: Esolm.environment)
    #expect(
      result.error.hasPrefix("esolm: error: not enough memory for a network, batch or length of this size: "),
      "\(result.error.prefix(300))")
    #expect(result.error.split(separator: "\n").count == 1)
    #expect(result.status == 1)
  }

  @Test(arguments: [
    "sample $run", "eval $run", "verify x", "verify --batch-invariance $run",
    "bench sample --model tiny --lengths 4 --methods ar", "compare --steps 1 --out x",
  ])
  func aDeviceThatIsNotThereIsNamed(command: String) async throws {
    let run = try await Esolm.trained()
    let words = command.split(separator: " ").map { $0 == "$run" ? run : String($0) }
    let result = try await Esolm.run(words + ["--device", "mps"])
    // A Mac has it.
    guard result.status != 0 else { return }
    #expect(result.status == 1)
    let message =
      #/esolm: error: device 'mps' is not available with libtorch \S+ on this machine \(available: .*cpu.*\)\n/#
    #expect(result.error.wholeMatch(of: message) != nil)
  }

  // MARK: Damaged runs

  enum Damage: CaseIterable {
    case missingWeights, missingTokenizer, truncatedWeights, foreignWeights, foreignConfiguration, changedText

    private var zeros: String { String(repeating: "0", count: 64) }

    func apply(to run: String) throws {
      func write(_ text: String, to file: String) throws {
        try Data(text.utf8).write(to: URL(fileURLWithPath: "\(run)/\(file)"))
      }
      switch self {
      case .missingWeights: try FileManager.default.removeItem(atPath: "\(run)/latest/ema.safetensors")
      case .missingTokenizer: try FileManager.default.removeItem(atPath: "\(run)/tokenizer.json")
      case .truncatedWeights: truncate("\(run)/latest/ema.safetensors", 1000)
      case .foreignWeights: try write("%PDF-1.4 and so on", to: "latest/ema.safetensors")
      case .foreignConfiguration: try write(#"{"architectures": ["GPT2LMHeadModel"]}"#, to: "config.json")
      case .changedText:
        let file = "\(run)/config.json"
        let text = try String(contentsOfFile: file, encoding: .utf8)
        try write(text.replacing(#/"fingerprint" : ".*"/#, with: "\"fingerprint\" : \"\(zeros)\""), to: "config.json")
      }
    }

    /// $checkpoint is the path by which a command reads the weights.
    func message(resuming: Bool) -> String {
      switch self {
      case .missingWeights:
        resuming
          ? "cannot read $checkpoint/ema.safetensors: there is no such file"
          : "$run is no complete run folder: ema.safetensors is missing"
      case .missingTokenizer: "$run is no complete run folder: tokenizer.json is missing"
      case .truncatedWeights:
        "$checkpoint/ema.safetensors is damaged: it has 1000 bytes, expected 30616"
      case .foreignWeights:
        "$checkpoint/ema.safetensors is damaged: it has 18 bytes, expected 30616"
      case .foreignConfiguration: "$run/config.json: field 'formatVersion' is missing"
      case .changedText:
        "$data: the text has changed since the run began: its fingerprint is $fingerprint, expected \(zeros)"
      }
    }
  }

  @Test(arguments: Damage.allCases) func aDamagedRunIsRefusedByEveryCommand(damage: Damage) async throws {
    let run = try await Scratch.copy(of: Esolm.trained())
    let original = try String(contentsOfFile: "\(run)/config.json", encoding: .utf8)
    let fingerprint = try #require(original.firstMatch(of: #/"fingerprint" : "(.*)"/#)?.1)
    let data = try #require(original.firstMatch(of: #/"paths" : \[\s*"(.*)"/#)?.1)
    try damage.apply(to: run)
    let before = try Scratch.snapshot(run)
    var commands = [(["train", "--resume", run], "checkpoints/step-00000060"), (["eval", run], "latest")]
    // Sampling needs no text.
    if damage != .changedText { commands.append((["sample", run], "latest")) }
    for (command, checkpoint) in commands {
      let message = [
        ("$checkpoint", "$run/\(checkpoint)"), ("$run", run), ("$data", String(data)),
        ("$fingerprint", String(fingerprint)),
      ].reduce(damage.message(resuming: command[0] == "train")) { $0.replacingOccurrences(of: $1.0, with: $1.1) }
      let result = try await Esolm.run(command)
      #expect(result.error == "esolm: error: \(message)\n")
      #expect(result.status == 1)
      #expect(result.output == "")
      #expect(try Scratch.snapshot(run) == before)
    }
  }
}

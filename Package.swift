// swift-tools-version: 6.0
import PackageDescription

// libtorch is found through pkg-config: `make setup` writes libtorch.pc, and the Makefile names its folder.
let package = Package(
  name: "EsoLM",
  platforms: [.macOS(.v15)],
  products: [
    .executable(name: "esolm", targets: ["esolm"]),
    .executable(name: "esolm-serve", targets: ["esolm-serve"]),
    .library(name: "EsoLM", targets: ["EsoLM", "Randomness"]),
    .library(name: "Torch", targets: ["Torch"]),
    .library(name: "Tokenizers", targets: ["Tokenizers"]),
    .library(name: "Prompts", targets: ["Prompts"]),
    .library(name: "Corpora", targets: ["Corpora"]),
    .library(name: "Training", targets: ["Training", "Runs", "Settings", "Checkpoints"]),
    .library(name: "Evaluation", targets: ["Evaluation", "Comparison", "Parity"]),
    .library(name: "Serving", targets: ["Serving"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2"),
    .package(url: "https://github.com/apple/swift-collections", exact: "1.6.0"),
    .package(url: "https://github.com/jpsim/Yams", exact: "6.2.2"),
    // What the server alone needs: who links no `Serving` compiles none of it.
    .package(url: "https://github.com/hummingbird-project/hummingbird", exact: "2.28.1"),
    .package(url: "https://github.com/apple/swift-nio", exact: "2.101.2"),
    .package(url: "https://github.com/swift-server/swift-service-lifecycle", exact: "2.13.0"),
    .package(url: "https://github.com/apple/swift-log", exact: "1.16.2"),
    .package(url: "https://github.com/apple/swift-metrics", exact: "2.13.0"),
  ],
  targets: [
    // What a target imports it must name here, or a change there does not rebuild it.
    .target(name: "Faults"),
    .systemLibrary(name: "CLibtorch", pkgConfig: "libtorch"),
    // Headers of single operators compile in half the time, and training.cpp and inference.cpp include the files that
    // need the same ones: together they compile in 0.4 times the time.
    .target(
      name: "CTorch", dependencies: ["CLibtorch"],
      sources: ["ctorch.cpp", "inference.cpp", "memory.cpp", "parallel.cpp", "tiles.cpp", "training.cpp"],
      cxxSettings: [.define("AT_PER_OPERATOR_HEADERS")]),
    .systemLibrary(name: "CLibcrypto", pkgConfig: "libcrypto", providers: [.apt(["libssl-dev"])]),
    .systemLibrary(name: "CZlib", pkgConfig: "zlib", providers: [.apt(["zlib1g-dev"])]),
    .target(
      name: "Files",
      dependencies: ["Faults", "CZlib", .target(name: "CLibcrypto", condition: .when(platforms: [.linux]))]),
    .plugin(name: "GitRevision", capability: .buildTool()),
    .target(name: "Revision", plugins: ["GitRevision"]),
    .target(name: "Randomness", dependencies: ["Faults"]),
    .target(name: "Torch", dependencies: ["CTorch", "Faults", "Files"]),
    .target(
      name: "Tokenizers", dependencies: ["Faults", "Files", .product(name: "HeapModule", package: "swift-collections")]),
    .target(name: "Corpora", dependencies: ["Tokenizers", "Randomness", "Faults", "Files"]),
    .target(name: "EsoLM", dependencies: ["Torch", "Randomness", "Faults"]),
    .target(name: "Settings", dependencies: ["EsoLM", "Files", .product(name: "Yams", package: "Yams")]),
    .target(
      name: "Runs", dependencies: ["EsoLM", "Settings", "Torch", "Tokenizers", "Corpora", "Files", "Revision"]),
    .target(name: "Checkpoints", dependencies: ["EsoLM", "Torch", "Tokenizers", "Runs", "Files"]),
    .target(
      name: "Training",
      dependencies: ["EsoLM", "Torch", "Randomness", "Tokenizers", "Corpora", "Runs", "Faults", "Files"]),
    .target(name: "Prompts", dependencies: ["EsoLM", "Tokenizers", "Randomness"]),
    .target(name: "Reports"),
    .target(
      name: "Evaluation",
      dependencies: [
        "EsoLM", "Torch", "Corpora", "Tokenizers", "Checkpoints", "Randomness", "Reports", "Faults", "Files",
      ],
      resources: [
        .embedInCode("Sudoku/player.html"), .embedInCode("Sudoku/player.css"), .embedInCode("Sudoku/player.js"),
      ]),
    .target(
      name: "Comparison",
      dependencies: [
        "EsoLM", "Torch", "Tokenizers", "Corpora", "Runs", "Training", "Evaluation", "Reports", "Files",
      ]),
    .target(
      name: "Parity",
      dependencies: [
        "EsoLM", "Torch", "Tokenizers", "Randomness", "Corpora", "Runs", "Training", "Checkpoints", "Evaluation",
        "Files",
      ]),
    .target(
      name: "Serving",
      dependencies: [
        "EsoLM", "Torch", "Tokenizers", "Prompts", "Evaluation", "Randomness", "Faults", "Files",
        .product(name: "Hummingbird", package: "hummingbird"),
        .product(name: "NIOCore", package: "swift-nio"),
        .product(name: "NIOHTTP1", package: "swift-nio"),
        .product(name: "ServiceLifecycle", package: "swift-service-lifecycle"),
        .product(name: "Logging", package: "swift-log"),
        .product(name: "Metrics", package: "swift-metrics"),
      ],
      resources: [.embedInCode("Page/page.html"), .embedInCode("Page/page.css"), .embedInCode("Page/page.js")]),
    .target(
      name: "Tool",
      dependencies: [
        "EsoLM", "Torch", "Settings", "Runs", "Files",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .executableTarget(
      name: "esolm",
      dependencies: [
        "EsoLM", "Torch", "Tokenizers", "Prompts", "Corpora", "Settings", "Runs", "Checkpoints", "Training",
        "Evaluation",
        "Comparison", "Reports", "Parity", "Faults", "Files", "Revision", "Tool",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    // A program of its own: `esolm` turns into it, and compiles without what the server alone stands on.
    .executableTarget(
      name: "esolm-serve",
      dependencies: [
        "EsoLM", "Tokenizers", "Runs", "Serving", "Files", "Tool",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
        .product(name: "Logging", package: "swift-log"),
      ]),

    .target(name: "TestSupport", dependencies: ["EsoLM", "Torch", "Randomness"], path: "Tests/TestSupport"),
    .testTarget(name: "FilesTests", dependencies: ["Faults", "Files", "TestSupport"]),
    .testTarget(name: "RandomnessTests", dependencies: ["Randomness", "TestSupport"]),
    .testTarget(name: "TokenizersTests", dependencies: ["Tokenizers", "Randomness", "TestSupport"]),
    .testTarget(
      name: "CorporaTests",
      dependencies: ["Corpora", "Files", "Tokenizers", "Randomness", "CommandSupport", "TestSupport"]),
    .testTarget(
      name: "TorchTests", dependencies: ["CTorch", "Torch", "EsoLM", "Files", "Randomness", "TestSupport"]),
    .testTarget(name: "EsoLMTests", dependencies: ["EsoLM", "Torch", "Randomness", "TestSupport"]),
    .testTarget(
      name: "PromptsTests", dependencies: ["Prompts", "EsoLM", "Tokenizers", "Randomness", "TestSupport"]),
    .testTarget(name: "ParityTests", dependencies: ["Parity", "Torch", "TestSupport"]),
    .target(name: "CommandSupport", path: "Tests/CommandSupport", exclude: ["kept.c"]),
    .target(
      name: "RunSupport", dependencies: ["Runs", "EsoLM", "Tokenizers", "Torch", "CommandSupport"],
      path: "Tests/RunSupport"),
    .testTarget(
      name: "SettingsTests", dependencies: ["Settings", "EsoLM", "CommandSupport", "TestSupport"]),
    .testTarget(
      name: "RunsTests",
      dependencies: [
        "Runs", "Settings", "Checkpoints", "Corpora", "EsoLM", "Files", "Revision", "Tokenizers", "Torch",
        "CommandSupport",
        "RunSupport", "TestSupport",
      ]),
    .testTarget(
      name: "CheckpointsTests",
      dependencies: [
        "Checkpoints", "Runs", "EsoLM", "Files", "Randomness", "Tokenizers", "Torch", "CommandSupport", "RunSupport",
        "TestSupport",
      ]),
    .testTarget(
      name: "TrainingTests",
      dependencies: [
        "Training", "Runs", "Checkpoints", "Corpora", "EsoLM", "Tokenizers", "Torch", "CommandSupport", "TestSupport",
      ], exclude: ["tensorboard_reader.py"]),
    .testTarget(
      name: "EvaluationTests",
      dependencies: [
        "Evaluation", "Reports", "Corpora", "Tokenizers", "EsoLM", "Randomness", "Torch", "Files", "TestSupport",
      ]),
    .testTarget(name: "ReportsTests", dependencies: ["Reports"]),
    .testTarget(
      name: "ComparisonTests",
      dependencies: [
        "Comparison", "Runs", "Corpora", "EsoLM", "Evaluation", "Tokenizers", "Training", "CommandSupport",
        "TestSupport",
      ]),
    .testTarget(
      name: "ServingTests",
      dependencies: [
        "Serving", "EsoLM", "Evaluation", "Files", "Prompts", "Randomness", "Tokenizers", "Torch", "CommandSupport",
        "TestSupport", .product(name: "Hummingbird", package: "hummingbird"),
        // Its HummingbirdTesting would compile a client with TLS, for minutes.
        .product(name: "NIOEmbedded", package: "swift-nio"),
        .product(name: "Logging", package: "swift-log"), .product(name: "Metrics", package: "swift-metrics"),
      ]),
    .testTarget(
      name: "CommandTests",
      dependencies: [
        "esolm", "esolm-serve", "Runs", "EsoLM", "Files", "Parity", "Randomness", "Tokenizers", "Torch",
        "CommandSupport",
        "TestSupport",
      ], exclude: ["Help", "Clients"]),
    .testTarget(
      name: "ReadmeTests",
      dependencies: [
        "esolm", "EsoLM", "Prompts", "Runs", "Randomness", "Tokenizers", "Torch", "Training", "CommandSupport",
        "TestSupport",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx20
)

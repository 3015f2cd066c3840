// swift-tools-version: 6.0
import PackageDescription

// libtorch is found through pkg-config: `make setup` writes libtorch.pc, and the Makefile names its folder.
let package = Package(
  name: "EsoLM",
  platforms: [.macOS(.v14)],
  products: [
    .executable(name: "esolm", targets: ["esolm"]),
    .library(name: "EsoLM", targets: ["EsoLM", "Randomness"]),
    .library(name: "Torch", targets: ["Torch"]),
    .library(name: "Tokenizers", targets: ["Tokenizers"]),
    .library(name: "Corpora", targets: ["Corpora"]),
    .library(name: "Training", targets: ["Training", "Checkpoints"]),
    .library(name: "Evaluation", targets: ["Evaluation", "Parity"]),
  ],
  dependencies: [
    .package(url: "https://github.com/apple/swift-argument-parser", exact: "1.8.2")
  ],
  targets: [
    .systemLibrary(name: "CLibtorch", pkgConfig: "libtorch"),
    .target(name: "CTorch", dependencies: ["CLibtorch"]),
    .target(name: "Files"),
    .target(name: "Randomness"),
    .target(name: "Torch", dependencies: ["CTorch", "Files"]),
    .target(name: "Tokenizers"),
    .target(name: "Corpora", dependencies: ["Tokenizers", "Randomness"]),
    .target(name: "EsoLM", dependencies: ["Torch", "Randomness"]),
    .target(name: "Checkpoints", dependencies: ["EsoLM", "Tokenizers", "Files"]),
    .target(name: "Training", dependencies: ["EsoLM", "Corpora", "Checkpoints", "Randomness", "Files"]),
    .target(name: "Evaluation", dependencies: ["EsoLM", "Corpora", "Randomness"]),
    .target(name: "Parity", dependencies: ["EsoLM", "Training", "Checkpoints", "Files"]),
    .executableTarget(
      name: "esolm",
      dependencies: [
        "Training", "Evaluation", "Parity",
        .product(name: "ArgumentParser", package: "swift-argument-parser"),
      ]),
    .testTarget(name: "TokenizersTests", dependencies: ["Tokenizers", "Randomness"]),
    .testTarget(name: "CorporaTests", dependencies: ["Corpora", "Tokenizers", "Randomness"]),
  ],
  swiftLanguageModes: [.v6],
  cxxLanguageStandard: .cxx20
)

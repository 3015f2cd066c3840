// swift-tools-version: 6.0
import PackageDescription

let package = Package(
  name: "Benchmarks",
  platforms: [.macOS(.v15)],
  dependencies: [.package(name: "EsoLM", path: "..")],
  targets: [
    .executableTarget(
      name: "benchmarks",
      dependencies: [
        .product(name: "EsoLM", package: "EsoLM"),
        .product(name: "Torch", package: "EsoLM"),
        .product(name: "Training", package: "EsoLM"),
      ])
  ],
  swiftLanguageModes: [.v6]
)

import Foundation
import Testing
import Torch

@Suite("GPUs of several processes")
struct GPUGroupTests {
  /// NCCL makes identifiers on machines without a GPU as well.
  @Test func aGroupIsToldByItsIdentifier() throws {
    #if os(Linux)
      guard dlopen("libnccl.so.2", RTLD_NOW) != nil else {
        for ask in [GPUGroup.requireAvailable, { _ = try GPUGroup.Identifier.new() }] {
          let error = try #require(throws: TorchError.self) { try ask() }
          #expect(error.description.contains("NCCL is not there (libnccl.so.2)"))
        }
        return
      }
      try GPUGroup.requireAvailable()
      #expect(try GPUGroup.Identifier.new() != GPUGroup.Identifier.new())
    #endif
  }

  @Test(.disabled(if: Device.cuda.isAvailable, "this machine has a GPU"))
  func whereThereIsNoGPUNoneIsChosen() throws {
    let error = try #require(throws: TorchError.self) { try Device.chooseGPU(0) }
    #expect(error.description.contains("there is no GPU 0"))
  }
}

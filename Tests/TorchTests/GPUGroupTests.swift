import Foundation
import Testing
import Torch

@Suite("GPUs of several processes")
struct GPUGroupTests {
  /// NCCL makes identifiers on machines without a GPU as well.
  @Test func aGroupIsToldByItsIdentifier() throws {
    #if os(Linux)
      guard dlopen("libnccl.so.2", RTLD_NOW) != nil else {
        let error = try #require(throws: TorchError.self) { try GPUGroup.Identifier.new() }
        #expect(error.description.contains("NCCL is not there (libnccl.so.2)"))
        return
      }
      #expect(try GPUGroup.Identifier.new().bytes != GPUGroup.Identifier.new().bytes)
      #expect(try GPUGroup.Identifier.new().bytes.count == 128)
    #endif
  }

  @Test(.disabled(if: Device.cuda.isAvailable, "this machine has a GPU"))
  func whereThereIsNoGPUNoneIsChosen() throws {
    let error = try #require(throws: TorchError.self) { try Device.chooseGPU(0) }
    #expect(error.description.contains("there is no GPU 0"))
  }
}

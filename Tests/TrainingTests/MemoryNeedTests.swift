import Runs
import Testing
import Training

@Suite("Memory that training needs")
struct MemoryNeedTests {
  @Test func whatCannotFitIsRefused() throws {
    let configuration = try TinyTraining.configuration()
    let needed = MemoryShortage.leastBytes(configuration)
    try MemoryShortage.check(configuration, available: needed)
    let error = #expect(throws: MemoryShortage.self) {
      try MemoryShortage.check(configuration, available: needed - 1)
    }
    #expect(error == MemoryShortage(needed: needed, available: needed - 1))
    #expect(
      MemoryShortage(needed: 51.54e9, available: 8e9).description
        == "training needs at least 51.5 GB of memory, this machine has 8.0 GB; try a smaller batch, length or network")
  }

  /// 4-layer network of width 128 on batches of 32 × 128, counted by hand.
  @Test func theLeastIsCountedRight() throws {
    let configuration = try TinyTraining.configuration {
      $0.model.hiddenSize = 128
      $0.model.numBlocks = 4
      $0.model.conditioningSize = nil
      $0.method.length = 128
      $0.training.batchSize = 32
    }
    let vocabulary = configuration.model.vocabularySize
    let block = 12 * 128 * 128 + (4 + 1 + 2) * 128
    let parameters = 4 * block + 128 + vocabulary * (2 * 128 + 1)
    let step = 32 * 127 * 128 * (3 * 12 + 3)
    #expect(MemoryShortage.leastBytes(configuration) == Double(4 * (5 * parameters + step)))
    // Of four processes each computes a quarter of the batch.
    #expect(MemoryShortage.leastBytes(configuration, processes: 4) == Double(4 * 5 * parameters + step))
    var rough = configuration
    rough.training.bfloat16 = true
    #expect(MemoryShortage.leastBytes(rough) == Double(4 * 5 * parameters + 2 * step))
  }
}

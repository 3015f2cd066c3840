import Testing
import Training

@Suite("Process group")
struct ProcessGroupTests {
  @Test(arguments: [[:], ["SLURM_STEP_NUM_TASKS": "1"], ["OMPI_COMM_WORLD_SIZE": "1", "PMI_SIZE": "1"]])
  func aProcessAloneNeedsNoMPI(environment: [String: String]) throws {
    let group = try ProcessGroup.joining(environment)
    #expect(group.rank == 0 && group.count == 1 && group.isLeader)
  }

  /// Before MPI is looked for.
  @Test(arguments: [
    (["SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "1"], ["4 processes", "srun --mpi=pmix"]),
    (["PMI_SIZE": "2", "PMI_RANK": "0"], ["another MPI", "mpirun"]),
  ])
  func processesThatCannotFindEachOtherAreToldTheWay(environment: [String: String], words: [String]) throws {
    let error = try #require(throws: ProcessGroupError.self) { try ProcessGroup.joining(environment) }
    for word in words { #expect(error.description.contains(word)) }
  }
}

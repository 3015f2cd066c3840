import Foundation

/// The functions of Open MPI that training needs, found when the program runs: it is built, and runs alone, on machines
/// without. `libmpi.so.40` is the library of Open MPI 2 to 5.
struct MPI: @unchecked Sendable {  // Addresses that never change.
  typealias Object = UnsafeMutableRawPointer

  let commRank: @convention(c) (Object, UnsafeMutablePointer<Int32>) -> Int32
  let commSize: @convention(c) (Object, UnsafeMutablePointer<Int32>) -> Int32
  let broadcast: @convention(c) (Object, Int32, Object, Int32, Object) -> Int32
  let allReduce: @convention(c) (Object?, Object, Int32, Object, Object, Object) -> Int32
  let beginAllReduce:
    @convention(c) (Object?, Object, Int32, Object, Object, Object, UnsafeMutablePointer<Object?>) -> Int32
  let testAll: @convention(c) (Int32, UnsafeMutablePointer<Object?>, UnsafeMutablePointer<Int32>, Object?) -> Int32
  let waitAll: @convention(c) (Int32, UnsafeMutablePointer<Object?>, Object?) -> Int32
  let allGather: @convention(c) (Object, Int32, Object, Object, Int32, Object, Object) -> Int32
  let abort: @convention(c) (Object, Int32) -> Int32
  let finalize: @convention(c) () -> Int32

  let world: Object
  let bytes: Object
  let floats: Object
  let doubles: Object
  let sum: Object
  /// `MPI_IN_PLACE`: what is sent is where the result goes.
  let inPlace = Object(bitPattern: 1)

  private static let names = ["libmpi.so.40", "libmpi.40.dylib", "libmpi.so"]

  /// Loads the library and joins the other processes.
  ///
  /// - Throws: ``ProcessGroupError``.
  init() throws {
    // Its own modules look for its symbols among those of the program.
    guard let library = Self.names.lazy.compactMap({ dlopen($0, RTLD_NOW | RTLD_GLOBAL) }).first else {
      throw ProcessGroupError(
        "this process was started as one of several, but \(Self.names[0]) of Open MPI is not there (Debian: openmpi-bin)"
      )
    }
    func address(_ name: String) throws -> Object {
      guard let found = dlsym(library, name) else {
        throw ProcessGroupError("the MPI library that was found has no \(name): it is not Open MPI")
      }
      return found
    }
    func function<Function>(_ name: String) throws -> Function {
      unsafeBitCast(try address(name), to: Function.self)
    }
    commRank = try function("MPI_Comm_rank")
    commSize = try function("MPI_Comm_size")
    broadcast = try function("MPI_Bcast")
    allReduce = try function("MPI_Allreduce")
    beginAllReduce = try function("MPI_Iallreduce")
    testAll = try function("MPI_Testall")
    waitAll = try function("MPI_Waitall")
    allGather = try function("MPI_Allgather")
    abort = try function("MPI_Abort")
    finalize = try function("MPI_Finalize")
    world = try address("ompi_mpi_comm_world")
    bytes = try address("ompi_mpi_byte")
    floats = try address("ompi_mpi_float")
    doubles = try address("ompi_mpi_double")
    sum = try address("ompi_mpi_op_sum")
    typealias Start = @convention(c) (Object?, Object?, Int32, UnsafeMutablePointer<Int32>) -> Int32
    let start: Start = try function("MPI_Init_thread")
    // Other threads compute while one, always the same, calls MPI: MPI_THREAD_FUNNELED.
    var provided: Int32 = 0
    guard start(nil, nil, 1, &provided) == 0 else { throw ProcessGroupError("MPI could not be started") }
  }
}

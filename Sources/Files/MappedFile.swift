import Foundation

/// Whole files.
public enum MappedFile {
  /// The contents of a file, mapped into memory where that is safe.
  public static func read(_ path: String) throws -> Data {
    try requireFile(path)
    do {
      return try Data(contentsOf: URL(fileURLWithPath: path), options: .mappedIfSafe)
    } catch let error as CocoaError where error.code == .fileReadNoPermission {
      throw FileError("cannot read \(path): permission denied")
    } catch {
      throw FileError("cannot read \(path): it is no readable file")
    }
  }

  /// The contents of a file, mapped in any case: what is not looked at takes no memory. Only for files that are replaced
  /// and never shortened, since a part that is gone ends the process.
  public static func map(_ path: String) throws -> Data {
    try requireFile(path)
    let size = try FileDigest.size(of: path)
    let descriptor = open(path, O_RDONLY | O_CLOEXEC)
    guard descriptor >= 0 else { throw FileError.system("read", path) }
    defer { close(descriptor) }
    guard size > 0 else { return Data() }
    guard let address = mmap(nil, size, PROT_READ, MAP_PRIVATE, descriptor, 0), address != MAP_FAILED else {
      throw FileError.system("map", path)
    }
    return Data(bytesNoCopy: address, count: size, deallocator: .custom { munmap($0, $1) })
  }

  /// Gives back the memory of the whole pages among bytes that ``map(_:)`` gave; they are read from the file again when they
  /// are looked at again.
  public static func forget(_ bytes: UnsafeRawBufferPointer) {
    let page = Int(sysconf(Int32(_SC_PAGESIZE)))
    let begin = Int(bitPattern: bytes.baseAddress)
    let (first, end) = ((begin + page - 1) / page * page, (begin + bytes.count) / page * page)
    if first < end { madvise(UnsafeMutableRawPointer(bitPattern: first), end - first, MADV_DONTNEED) }
  }

  private static func requireFile(_ path: String) throws {
    var isFolder: ObjCBool = false
    guard FileManager.default.fileExists(atPath: path, isDirectory: &isFolder) else {
      throw FileError("cannot read \(path): there is no such file")
    }
    guard !isFolder.boolValue else { throw FileError("cannot read \(path): it is a folder") }
  }
}

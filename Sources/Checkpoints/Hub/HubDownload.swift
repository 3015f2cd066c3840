import Files
import Foundation

/// Fetches a model repository's files: what is needed to load it, and no code.
///
/// Files are kept as the hub's own client keeps them, `blobs` named by checksum and `snapshots` of links to them, so that
/// both share what was fetched. A file that was cut off goes on where it ended; its size and checksum are compared with
/// what the hub says before it gets its name.
public struct HubDownload {
  /// What is fetched.
  public let repository: HubRepository
  /// Where from, where to and as whom.
  public let settings: HubSettings
  private let client: HTTPClient

  /// A download that does nothing before it is run.
  public init(_ repository: HubRepository, settings: HubSettings) {
    self.repository = repository
    self.settings = settings
    client = HTTPClient(token: settings.token)
  }

  /// How far a file is.
  public struct Progress: Sendable {
    /// The name of the file that is fetched now.
    public let file: String
    /// Bytes of it that are here.
    public let received: Int
    /// Bytes that it has.
    public let size: Int
  }

  /// What the hub says of a repository at a revision.
  private struct Listing: Decodable {
    struct File: Decodable {
      struct Large: Decodable {
        var sha256: String
        var size: Int
      }
      var rfilename: String
      var size: Int?
      var blobId: String?
      var lfs: Large?
    }
    var sha: String
    var siblings: [File]
  }

  /// A file to fetch, by the checksum that it must have.
  private struct Wanted {
    var name: String
    var size: Int
    var checksum: String
    var isLarge: Bool
  }

  private static let listingLimit = 16 << 20
  private static let attempts = 5

  /// A repository's files.
  public struct Fetched: Sendable {
    /// The folder that holds them.
    public let folder: String
    /// Why the hub was not asked for them, if they are what the cache held already.
    public let offline: String?
  }

  /// Fetches what is not there yet. Where the hub cannot be reached, what an earlier call fetched is as good.
  public func run(report: (Progress) -> Void = { _ in }) throws -> Fetched {
    guard !settings.isOffline else { return try cached("HF_HUB_OFFLINE is set") }
    do {
      return Fetched(folder: try fetch(try listing(), report: report), offline: nil)
    } catch let error as Unreachable {
      return try cached(error.reason)
    }
  }

  /// The hub did not say what there is.
  private struct Unreachable: Error {
    let reason: String
  }

  private func fetch(_ listing: Listing, report: (Progress) -> Void) throws -> String {
    let wanted = try wanted(listing)
    let folder = repository.folder(in: settings.cache)
    let snapshot = "\(folder)/snapshots/\(listing.sha)"
    let files = FileManager.default
    do {
      for folder in ["\(folder)/blobs", "\(folder)/refs", snapshot] {
        try files.createDirectory(atPath: folder, withIntermediateDirectories: true)
      }
    } catch {
      throw FileError("cannot make the folder \(folder): \(error.localizedDescription)")
    }
    for file in wanted {
      let blob = "\(folder)/blobs/\(file.checksum)"
      if try !isWhole(blob, file) {
        try fetch(file, to: blob, revision: listing.sha, report: report)
      }
      try AtomicFile.link("\(snapshot)/\(file.name)", to: "../../blobs/\(file.checksum)")
    }
    let reference = "\(folder)/refs/\(repository.revision)"
    try? files.createDirectory(
      atPath: Folder.split(reference).folder, withIntermediateDirectories: true)
    try AtomicFile.write(Data(listing.sha.utf8), to: reference)
    return snapshot
  }

  // MARK: Without the hub

  /// What the cache holds of the revision, if that is a whole model.
  private func cached(_ reason: String) throws -> Fetched {
    let folder = repository.folder(in: settings.cache)
    func refuse(_ what: String) -> FileError { FileError("\(reason), and the cache \(folder) \(what)") }
    let reference = "\(folder)/refs/\(repository.revision)"
    let commit =
      Folder.isRegularFile(reference)
      ? String(decoding: try MappedFile.read(reference).prefix(200), as: UTF8.self) : repository.revision
    let snapshot = "\(folder)/snapshots/\(commit)"
    guard HubRepository.isPlain(commit[...]), Folder.exists(snapshot) else {
      throw refuse("does not hold the revision \(repository.revision)")
    }
    func isThere(_ name: String) -> Bool { Folder.isRegularFile("\(snapshot)/\(name)") }
    guard isThere(HuggingFaceFolder.configurationName),
      let weights = HuggingFaceFolder.weightNames.first(where: isThere)
    else { throw refuse("holds only a part of it") }
    if weights.hasSuffix(".json") {
      let index: HuggingFaceFolder.Index = try JSONFile.read(from: "\(snapshot)/\(weights)")
      if let missing = try index.files(path: "\(snapshot)/\(weights)").first(where: { !isThere($0) }) {
        throw refuse("lacks \(missing)")
      }
    }
    return Fetched(folder: snapshot, offline: reason)
  }

  // MARK: What to fetch

  private func listing() throws -> Listing {
    let url = settings.endpoint.appendingPathComponent(
      "api/models/\(repository.name)/revision/\(repository.revision)")
    var components = URLComponents(url: url, resolvingAgainstBaseURL: false)!
    components.queryItems = [URLQueryItem(name: "blobs", value: "true")]
    let data: Data
    do {
      data = try client.data(from: components.url!, limit: Self.listingLimit, what: repository.name)
    } catch let error as HTTPClient.Interrupted {
      throw Unreachable(reason: "cannot reach \(components.url!): \(error.reason)")
    }
    let listing: Listing
    do {
      listing = try JSONFile.decode(from: data)
    } catch {
      throw FileError("\(url): \(error)")
    }
    guard HubRepository.isPlain(listing.sha[...]) else { throw FileError("\(url): 'sha' is no commit") }
    return listing
  }

  /// The configuration, the tokenizer's files, and the weights in the form that is preferred.
  private func wanted(_ listing: Listing) throws -> [Wanted] {
    let byName = Dictionary(listing.siblings.map { ($0.rfilename, $0) }) { first, _ in first }
    var names = [
      HuggingFaceFolder.configurationName, "tokenizer.json", "tokenizer_config.json", "vocab.json", "merges.txt",
      "vocab.txt", "special_tokens_map.json", "added_tokens.json",
    ].filter { byName[$0] != nil }
    guard byName[HuggingFaceFolder.configurationName] != nil else {
      throw FileError("\(repository.name) holds no config.json, so it is no model")
    }
    guard let weights = HuggingFaceFolder.weightNames.first(where: { byName[$0] != nil }) else {
      throw FileError(
        "\(repository.name) holds no weights: none of \(HuggingFaceFolder.weightNames.joined(separator: ", "))")
    }
    names.append(weights)
    if weights.hasSuffix(".index.json") {
      // Which files there are stands in the index; shards are named after it.
      let stem = weights == HuggingFaceFolder.indexName ? "model-" : "pytorch_model-"
      names += byName.keys.filter {
        $0.hasPrefix(stem) && ($0.hasSuffix(".safetensors") || $0.hasSuffix(".bin"))
          && HuggingFaceFolder.isPlainName($0)
      }.sorted()
    }
    return try names.map { name in
      let file = byName[name]!
      let checksum = file.lfs?.sha256 ?? file.blobId ?? ""
      guard let size = file.lfs?.size ?? file.size, size >= 0,
        checksum.count == (file.lfs == nil ? 40 : 64), checksum.allSatisfy({ $0.isHexDigit && $0.isASCII })
      else { throw FileError("\(repository.name): the hub names no size or checksum of \(name)") }
      return Wanted(name: name, size: size, checksum: checksum.lowercased(), isLarge: file.lfs != nil)
    }
  }

  // MARK: One file

  private func fetch(
    _ file: Wanted, to blob: String, revision: String, report: (Progress) -> Void
  ) throws {
    let partial = "\(blob).incomplete"
    let url = settings.endpoint.appendingPathComponent("\(repository.name)/resolve/\(revision)/\(file.name)")
    let descriptor = open(partial, O_RDWR | O_CREAT | O_CLOEXEC, 0o644)
    guard descriptor >= 0 else { throw FileError("cannot write \(partial): \(String(cString: strerror(errno)))") }
    defer { close(descriptor) }
    guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
      throw FileError("\(file.name) is being fetched by another process (\(partial))")
    }
    for attempt in 1...Self.attempts {
      // What is there already is kept; more than there should be is not the file.
      var offset = Int(lseek(descriptor, 0, SEEK_END))
      if offset > file.size {
        ftruncate(descriptor, 0)
        offset = 0
      }
      if offset == file.size { break }
      do {
        try client.download(url, from: offset, size: file.size, to: descriptor, path: partial) { received in
          report(Progress(file: file.name, received: received, size: file.size))
        }
        break
      } catch let error as HTTPClient.Interrupted where attempt < Self.attempts {
        // Waits longer each time, unless the hub sent something before it fell silent.
        let progressed = Int(lseek(descriptor, 0, SEEK_END)) > offset
        Thread.sleep(forTimeInterval: progressed ? 0.2 : 0.5 * Double(1 << attempt))
        _ = error
      } catch let error as HTTPClient.Interrupted {
        throw FileError(
          "\(file.name) of \(repository.name) was cut off: \(error.reason); run the command again to go on where it ended"
        )
      }
    }
    guard fsync(descriptor) == 0 else {
      throw FileError("cannot write \(partial): \(String(cString: strerror(errno)))")
    }
    guard try isWhole(partial, file) else {
      let found = try checksum(of: partial, file)
      let size = try FileDigest.size(of: partial)
      unlink(partial)
      throw FileError(
        "\(file.name) of \(repository.name) came damaged: \(size) bytes with checksum \(found), "
          + "expected \(file.size) with \(file.checksum)")
    }
    guard rename(partial, blob) == 0 else {
      throw FileError("cannot write \(blob): \(String(cString: strerror(errno)))")
    }
  }

  private func isWhole(_ path: String, _ file: Wanted) throws -> Bool {
    guard FileManager.default.fileExists(atPath: path), try FileDigest.size(of: path) == file.size else { return false }
    return try checksum(of: path, file) == file.checksum
  }

  private func checksum(of path: String, _ file: Wanted) throws -> String {
    file.isLarge ? try FileDigest.sha256(of: path) : try FileDigest.gitBlob(of: path)
  }
}

import Checkpoints
import CommandSupport
import Files
import Foundation
import TestSupport
import Testing
import Torch

@Suite("Downloads from a hub")
struct HubDownloadTests {
  private let weights: Data = {
    let path = "\(Fixtures.path(of: "mdlm"))/weights.safetensors"
    return try! Data(contentsOf: URL(fileURLWithPath: path))
  }()
  private let config = Data(#"{"model_type": "mdlm", "n_heads": 4, "model_length": 24}"#.utf8)

  private func small(_ name: String, _ data: Data) throws -> LocalHub.File {
    let path = try Scratch.file(data)
    return LocalHub.File(name, data, checksum: try FileDigest.gitBlob(of: path), isLarge: false)
  }

  private func large(_ name: String, _ data: Data) -> LocalHub.File {
    LocalHub.File(name, data, checksum: FileDigest.sha256(of: data), isLarge: true)
  }

  private func hub() throws -> LocalHub {
    try LocalHub([
      try small("config.json", config), large("model.safetensors", weights), try small("README.md", Data("# m".utf8)),
      try small("modeling.py", Data("import os".utf8)),
    ])
  }

  private func settings(_ hub: LocalHub, token: String? = nil) throws -> HubSettings {
    HubSettings(endpoint: URL(string: hub.address)!, cache: "\(try Scratch.folder())/hub", token: token)
  }

  private func fetch(_ hub: LocalHub, _ settings: HubSettings) throws -> String {
    try HubDownload(try HubRepository("owner/name"), settings: settings).run().folder
  }

  @Test func whatAModelNeedsIsFetchedAndNoCode() throws {
    let hub = try hub()
    let settings = try settings(hub, token: "secret")
    let folder = try fetch(hub, settings)
    #expect(folder == "\(settings.cache)/models--owner--name/snapshots/\(hub.commit)")
    #expect(try contents(of: folder) == ["config.json", "model.safetensors"])
    let conversion = try Conversion(try Checkpoint(opening: folder))
    #expect(conversion.method.algorithm == .maskedDiffusion)
    #expect(try String(contentsOf: "\(settings.cache)/models--owner--name/refs/main") == hub.commit)
    #expect(
      hub.requests.map(\.path) == [
        "/api/models/owner/name/revision/main?blobs=true", "/owner/name/resolve/\(hub.commit)/config.json",
        "/blobs/config.json", "/owner/name/resolve/\(hub.commit)/model.safetensors", "/blobs/model.safetensors",
      ])
    // The token is for the hub, not for where it points to.
    for request in hub.requests {
      #expect(request.headers["authorization"] == (request.path.hasPrefix("/blobs") ? nil : "Bearer secret"))
    }
    // What is there is not asked for again.
    let before = hub.requests.count
    #expect(try fetch(hub, settings) == folder)
    #expect(hub.requests.count == before + 1)
  }

  @Test func aFileThatIsCutOffGoesOnWhereItEnded() throws {
    let hub = try hub()
    hub.cut(after: [config.count, 50_000, 30_000])
    let folder = try fetch(hub, try settings(hub))
    #expect(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/model.safetensors")) == weights)
    let ranges = hub.requests.filter { $0.path == "/blobs/model.safetensors" }.map(\.range)
    #expect(ranges == [nil, 50_000, 80_000])
  }

  @Test func whatAnEarlierCallLeftIsUsed() throws {
    let hub = try hub()
    let settings = try settings(hub)
    let blobs = "\(settings.cache)/models--owner--name/blobs"
    try FileManager.default.createDirectory(atPath: blobs, withIntermediateDirectories: true)
    let partial = "\(blobs)/\(FileDigest.sha256(of: weights)).incomplete"
    try weights.prefix(100_000).write(to: URL(fileURLWithPath: partial))
    let folder = try fetch(hub, settings)
    #expect(hub.requests.last?.range == 100_000)
    #expect(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/model.safetensors")) == weights)
    #expect(!FileManager.default.fileExists(atPath: partial))
  }

  @Test func aServerWithoutRangesIsAskedForAllAgain() throws {
    let hub = try hub()
    hub.ignoreRanges()
    hub.cut(after: [config.count, 50_000])
    let folder = try fetch(hub, try settings(hub))
    #expect(try Data(contentsOf: URL(fileURLWithPath: "\(folder)/model.safetensors")) == weights)
  }

  @Test func aServerThatFailsForAMomentIsAskedAgain() throws {
    let hub = try hub()
    hub.fail(with: [503, 429])
    #expect(try contents(of: try fetch(hub, try settings(hub))).count == 2)
  }

  @Test func aFileWithAnotherChecksumIsRefused() throws {
    let hub = try hub()
    var damaged = weights
    damaged[1000] ^= 1
    hub.files[1] = LocalHub.File("model.safetensors", damaged, checksum: FileDigest.sha256(of: weights), isLarge: true)
    let settings = try settings(hub)
    #expect(
      message { try fetch(hub, settings) }
        == "model.safetensors of owner/name came damaged: \(weights.count) bytes with checksum "
        + "\(FileDigest.sha256(of: damaged)), expected \(weights.count) with \(FileDigest.sha256(of: weights))")
    // Nothing of it is left to be gone on with.
    #expect(try contents(of: "\(settings.cache)/models--owner--name/blobs").count == 1)
    hub.files[1] = large("model.safetensors", weights)
    _ = try Checkpoint(opening: try fetch(hub, settings))
  }

  @Test func aDamagedFileInTheCacheIsFetchedAgain() throws {
    let hub = try hub()
    let settings = try settings(hub)
    let path = "\(try fetch(hub, settings))/model.safetensors"
    try Data(weights.map { ~$0 }).write(to: URL(fileURLWithPath: path).resolvingSymlinksInPath())
    #expect(try Data(contentsOf: URL(fileURLWithPath: try fetch(hub, settings) + "/model.safetensors")) == weights)
  }

  @Test func weightsMayLieInSeveralFiles() throws {
    let file = try SafetensorsFile(weights, path: "x")
    let names = file.entries.keys.sorted()
    var shards: [LocalHub.File] = []
    var map: [String: String] = [:]
    for (number, half) in [names.prefix(10), names.dropFirst(10)].enumerated() {
      let name = "model-0000\(number + 1)-of-00002.safetensors"
      let path = "\(try Scratch.folder())/\(name)"
      try SafetensorsFile.write(half.map { ($0, try file.tensor($0)) }, to: path)
      shards.append(large(name, try Data(contentsOf: URL(fileURLWithPath: path))))
      for tensor in half { map[tensor] = name }
    }
    let index = try JSONEncoder().encode(["weight_map": map])
    let hub = try LocalHub(
      [try small("config.json", config), try small("model.safetensors.index.json", index)] + shards)
    let checkpoint = try Checkpoint(opening: try fetch(hub, try settings(hub)))
    #expect(try Conversion(checkpoint).network.numBlocks == 2)
  }

  // MARK: Without the hub

  @Test func whatWasFetchedBeforeServesWithoutTheHub() throws {
    let hub = try hub()
    var settings = try settings(hub)
    let folder = try fetch(hub, settings)
    func offline(_ revision: String = "main") throws -> HubDownload.Fetched {
      try HubDownload(try HubRepository("owner/name", revision: revision), settings: settings).run()
    }
    settings.endpoint = URL(string: try LocalHub([]).address)!
    let found = try offline()
    #expect(found.folder == folder && found.offline?.hasPrefix("cannot reach \(settings.endpoint)") == true)
    #expect(try offline(hub.commit).folder == folder)
    settings.isOffline = true
    #expect(try offline().offline == "HF_HUB_OFFLINE is set")
    let cache = "\(settings.cache)/models--owner--name"
    #expect(
      message { try offline("other") }
        == "HF_HUB_OFFLINE is set, and the cache \(cache) does not hold the revision other")
    // A link without its file is a part that was never fetched.
    try FileManager.default.removeItem(
      atPath: URL(fileURLWithPath: "\(folder)/model.safetensors").resolvingSymlinksInPath().path)
    #expect(message { try offline() } == "HF_HUB_OFFLINE is set, and the cache \(cache) holds only a part of it")
    let index = #"{"weight_map": {"a": "model-1.safetensors"}}"#
    try index.write(to: "\(folder)/model.safetensors.index.json")
    #expect(message { try offline() } == "HF_HUB_OFFLINE is set, and the cache \(cache) lacks model-1.safetensors")
    try "../../x".write(to: "\(cache)/refs/main")
    #expect(message { try offline() }?.hasSuffix("does not hold the revision main") == true)
  }

  // MARK: What cannot be

  @Test func whatIsNoModelIsRefused() throws {
    let hub = try hub()
    hub.files.removeFirst()
    #expect(message { try fetch(hub, try settings(hub)) } == "owner/name holds no config.json, so it is no model")
    hub.files = [try small("config.json", config)]
    #expect(message { try fetch(hub, try settings(hub)) }?.hasPrefix("owner/name holds no weights: none of ") == true)
    hub.files = [
      try small("config.json", config), LocalHub.File("model.safetensors", weights, checksum: "../../x", isLarge: true),
    ]
    #expect(
      message { try fetch(hub, try settings(hub)) }
        == "owner/name: the hub names no size or checksum of model.safetensors")
  }

  @Test func aHubThatIsNotThereIsNamed() throws {
    let closed = try LocalHub([]).address
    let settings = HubSettings(endpoint: URL(string: closed)!, cache: try Scratch.folder())
    let text = message { try HubDownload(try HubRepository("a/b"), settings: settings).run() }
    #expect(
      text?.hasPrefix("cannot reach \(closed)/api/models/a/b/revision/main?blobs=true: ") == true, "\(text ?? "")")
    #expect(
      text?.hasSuffix(", and the cache \(settings.cache)/models--a--b does not hold the revision main") == true)
  }

  @Test(arguments: ["", "name", "a/b/c", "../x", "a/..", "a/.b", "a/b c", "a/b?x", "/b", "a/", "ä/b"])
  func namesThatAreNoneAreRefused(name: String) {
    #expect(message { try HubRepository(name) } == "'\(name)' is no name of a model repository, expected OWNER/NAME")
  }

  @Test(arguments: ["", "../main", "a//b", "a b", ".x"]) func revisionsThatAreNoneAreRefused(revision: String) {
    #expect(
      message { try HubRepository("a/b", revision: revision) }
        == "'\(revision)' is no name of a revision, expected a branch, a tag or a commit")
  }

  @Test func theUsualVariablesAreRead() throws {
    let usual = try HubSettings(environment: [:])
    #expect(usual.endpoint.absoluteString == "https://huggingface.co" && usual.token == nil && !usual.isOffline)
    #expect(try HubSettings(environment: ["HF_HUB_OFFLINE": "1"]).isOffline)
    #expect(usual.cache == "\(NSHomeDirectory())/.cache/huggingface/hub")
    #expect(try HubSettings(environment: ["XDG_CACHE_HOME": "/c"]).cache == "/c/huggingface/hub")
    #expect(try HubSettings(environment: ["XDG_CACHE_HOME": "/c", "HF_HOME": "/h"]).cache == "/h/hub")
    let all = try HubSettings(
      environment: ["HF_HOME": "/h", "HF_HUB_CACHE": "/k", "HF_TOKEN": "t", "HF_ENDPOINT": "http://127.0.0.1:8080"])
    #expect(all.cache == "/k" && all.token == "t" && all.endpoint.port == 8080)
    #expect(
      message { try HubSettings(environment: ["HF_ENDPOINT": "ftp://x"]) }
        == "HF_ENDPOINT is 'ftp://x', expected an address that begins with https://")
  }
}

import Files
import Foundation

/// A model repository of a Hugging Face hub, and where its files are kept on this machine.
public struct HubRepository: Sendable {
  /// `OWNER/NAME`.
  public let name: String
  /// A branch, a tag or a commit.
  public let revision: String

  /// - Throws: an error unless `name` reads OWNER/NAME and the revision is one of a branch, tag or commit.
  public init(_ name: String, revision: String = "main") throws {
    let parts = name.split(separator: "/", omittingEmptySubsequences: false)
    guard parts.count == 2, parts.allSatisfy({ Self.isPlain($0) }) else {
      throw FileError("'\(name)' is no name of a model repository, expected OWNER/NAME")
    }
    guard revision.split(separator: "/", omittingEmptySubsequences: false).allSatisfy({ Self.isPlain($0) }) else {
      throw FileError("'\(revision)' is no name of a revision, expected a branch, a tag or a commit")
    }
    self.name = name
    self.revision = revision
  }

  /// Letters, digits, '-', '_' and '.', not starting with a dot: nothing that means something in a path or an address.
  static func isPlain(_ part: Substring) -> Bool {
    !part.isEmpty && part.first != "." && part.utf8.count <= 200
      && part.unicodeScalars.allSatisfy {
        $0.isASCII && ($0.properties.isAlphabetic || $0.isDigit || "-_.".unicodeScalars.contains($0))
      }
  }

  /// The repository's folder in a cache, as the hub's own client names it.
  func folder(in cache: String) -> String { "\(cache)/models--\(name.replacingOccurrences(of: "/", with: "--"))" }
}

extension Unicode.Scalar {
  fileprivate var isDigit: Bool { ("0"..."9").contains(self) }
}

/// Which hub to ask and where to keep what it sends, as the field's usual environment variables say.
public struct HubSettings: Sendable {
  /// The hub's address.
  public var endpoint: URL
  /// The folder that files are kept in.
  public var cache: String
  /// What the user is known by; nil for nobody.
  public var token: String?
  /// Whether only the cache is to be used.
  public var isOffline: Bool

  /// Settings that are given, whatever the environment says.
  public init(endpoint: URL, cache: String, token: String? = nil, isOffline: Bool = false) {
    self.endpoint = endpoint
    self.cache = cache
    self.token = token
    self.isOffline = isOffline
  }

  /// Reads `HF_ENDPOINT`, `HF_HUB_CACHE`, `HF_HOME`, `XDG_CACHE_HOME`, `HF_TOKEN` and `HF_HUB_OFFLINE`.
  public init(environment: [String: String] = ProcessInfo.processInfo.environment) throws {
    func value(_ name: String) -> String? { environment[name].flatMap { $0.isEmpty ? nil : $0 } }
    let text = value("HF_ENDPOINT") ?? "https://huggingface.co"
    guard let endpoint = URL(string: text), ["http", "https"].contains(endpoint.scheme), endpoint.host != nil else {
      throw FileError("HF_ENDPOINT is '\(text)', expected an address that begins with https://")
    }
    let home =
      value("HF_HOME") ?? (value("XDG_CACHE_HOME") ?? "\(NSHomeDirectory())/.cache") + "/huggingface"
    self.init(
      endpoint: endpoint, cache: value("HF_HUB_CACHE") ?? "\(home)/hub", token: value("HF_TOKEN"),
      isOffline: ["1", "true", "yes", "on"].contains(value("HF_HUB_OFFLINE")?.lowercased() ?? ""))
  }
}

import EsoLM
import Files

/// Settings by their names, each under the first of several that is there.
///
/// A text may refer to others, as OmegaConf has them: `${a.b}` counts from the top, `${.b}` stands for what lies beside the
/// text, `${..b}` for what lies beside that which holds it.
struct SettingsReader {
  private let root: PlainValue
  private let path: String

  /// - Parameters:
  ///   - root: all settings.
  ///   - path: the file, for messages.
  init(_ root: PlainValue, path: String) {
    self.root = root
    self.path = path
  }

  /// A value, and the name that it stands under; nil where there is none under any name.
  private func find(_ names: [String], _ option: String?) throws -> (name: String, value: PlainValue)? {
    for name in names {
      do {
        var followed = 0
        if let value = try find(name.split(separator: "."), &followed)?.value, value != .null { return (name, value) }
      } catch let error as Unresolved {
        throw FileError("\(path): \(name) \(error.reason)" + (option.map { "; name it with \($0)" } ?? ""))
      }
    }
    return nil
  }

  private func read<Value>(
    _ names: [String], _ option: String?, expected: @autoclosure () -> String, _ convert: (PlainValue) -> Value?
  ) throws -> Value? {
    guard let (name, found) = try find(names, option) else { return nil }
    guard let value = convert(found) else {
      throw FileError(
        "\(path): \(name) is '\(found.description.prefix(60))', expected \(expected())"
          + (option.map { "; name it with \($0)" } ?? ""))
    }
    return value
  }

  func integer(_ names: String..., option: String? = nil) throws -> Int? {
    try read(names, option, expected: "a whole number") { $0.integer ?? $0.number.flatMap { Int(exactly: $0) } }
  }

  func number(_ names: String..., option: String? = nil) throws -> Double? {
    try read(names, option, expected: "a number") { $0.number }
  }

  func boolean(_ names: String..., option: String? = nil) throws -> Bool? {
    try read(names, option, expected: "true or false") { $0.boolean }
  }

  func text(_ names: String..., option: String? = nil) throws -> String? {
    try read(names, option, expected: "a text") { $0.text }
  }

  func choice<Choice: RawRepresentable & CaseIterable>(
    _ names: String..., option: String? = nil
  ) throws -> Choice? where Choice.RawValue == String {
    let known = Choice.allCases.map(\.rawValue).joined(separator: ", ")
    return try read(names, option, expected: "one of \(known)") { $0.text.flatMap { Choice(rawValue: $0) } }
  }

  /// How tokens of one kind stand in the diffusion term: said by the authors' code as whether they are kept unshuffled.
  func order(_ flag: String, _ name: String) throws -> DiffusionOrders.Order? {
    if let said: DiffusionOrders.Order = try choice(name) { return said }
    return try boolean("algo.\(flag)") == true ? .leftToRight : nil
  }

  /// The clipped times of a block diffusion model, or that they are searched for.
  func noiseRange() throws -> NoiseRange? {
    let option = "--noise-range"
    func time(_ name: String) throws -> Double? {
      try read(["training.\(name)", name], option, expected: "a time from 0 to 1") { value in
        value.number.flatMap { (0...1).contains($0) ? $0 : nil }
      }
    }
    let (low, high) = (try time("sampling_eps_min"), try time("sampling_eps_max"))
    if let range = NoiseRange(clippedFrom: low ?? 0, to: high ?? 1) { return range }
    guard try boolean("algo.var_min", "var_min", option: option) == true,
      case .list(let widths)? = try find(["algo.clip_search_widths", "clip_search_widths"], option)?.value
    else { return nil }
    return widths.isEmpty ? nil : .search
  }

  /// Throws if the configuration is of a model that would compute other numbers here, whatever it is called.
  func requireKnownKind() throws {
    let known: [(names: [String], expected: [String])] = [
      (["algo.parameterization", "parameterization"], ["subs", "ar"]), (["diffusion"], ["absorbing_state"]),
    ]
    for (names, expected) in known {
      guard let (name, value) = try find(names, nil), case .text(let found) = value, !expected.contains(found) else {
        continue
      }
      throw FileError(
        "\(path): \(name) is '\(found.prefix(60))', expected \(expected.joined(separator: " or ")): "
          + "models of another kind are not computed here")
    }
    if try boolean("algo.time_conditioning", "time_conditioning") == true {
      throw FileError(
        "\(path): time_conditioning is true, expected false: networks that read the time are not computed here")
    }
  }

  // MARK: References

  /// A reference that leads nowhere, or nowhere soon.
  private struct Unresolved: Error {
    let reason: String
  }

  /// A value and the keys that lead to it.
  private typealias Place = (value: PlainValue, keys: [Substring])

  /// How many references are followed for one setting: a chain longer than that is a loop, or made to take time.
  private static let limit = 64
  private static let maximumLength = 1 << 16

  /// The value at the end of a path of keys, with its references resolved.
  private func find(_ keys: [Substring], _ followed: inout Int) throws -> Place? {
    var place: Place = (root, [])
    for key in keys {
      guard case .object(let fields) = place.value, let field = fields.last(where: { $0.key == key }) else {
        return nil
      }
      place = try resolved((field.value, place.keys + [key]), &followed)
    }
    return place
  }

  private func resolved(_ place: Place, _ followed: inout Int) throws -> Place {
    guard case .text(let original) = place.value, original.contains("${") else { return place }
    func refuse(_ why: String) -> Unresolved { Unresolved(reason: "is '\(original.prefix(60))', which \(why)") }
    var text = original
    // The last one that begins holds no other.
    while let start = text.range(of: "${", options: .backwards), let end = text[start.upperBound...].firstIndex(of: "}")
    {
      followed += 1
      guard followed <= Self.limit else { throw refuse("leads in a circle") }
      guard let keys = target(text[start.upperBound..<end], from: place.keys), let found = try find(keys, &followed)
      else { throw refuse("refers to nothing that the file holds") }
      if start.lowerBound == text.startIndex, text.index(after: end) == text.endIndex { return found }
      text.replaceSubrange(start.lowerBound...end, with: found.value.description)
      guard text.utf8.count <= Self.maximumLength else { throw refuse("stands for a text without end") }
    }
    return (.text(text), place.keys)
  }

  /// The keys that a reference means; nil for those that ask for more than another setting, as `${env:HOME}`.
  private func target(_ reference: Substring, from keys: [Substring]) -> [Substring]? {
    guard !reference.contains(":") else { return nil }
    let dots = reference.prefix { $0 == "." }.count
    guard dots <= keys.count else { return nil }
    return (dots == 0 ? [] : keys.dropLast(dots)) + reference.dropFirst(dots).split(separator: ".")
  }
}

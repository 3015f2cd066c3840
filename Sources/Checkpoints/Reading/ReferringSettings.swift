import Foundation

/// Settings in which a text may refer to others, as OmegaConf has them: `${a.b}` counts from the top, `${.b}` stands for
/// what lies beside the text, `${..b}` for what lies beside that which holds it.
struct ReferringSettings {
  let root: PlainValue

  /// A reference that leads nowhere, or nowhere soon.
  struct Unresolved: Error {
    let reason: String
  }

  /// A value and the keys that lead to it.
  private typealias Place = (value: PlainValue, keys: [Substring])

  /// How many references are followed for one setting: a chain longer than that is a loop, or made to take time.
  private static let limit = 64
  private static let maximumLength = 1 << 16

  /// The value at the end of a path of keys, as "model.n_heads", with its references resolved.
  ///
  /// - Throws: ``Unresolved``.
  func value(at path: String) throws -> PlainValue? {
    var followed = 0
    return try find(path.split(separator: "."), &followed)?.value
  }

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

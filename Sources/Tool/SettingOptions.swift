import ArgumentParser
import EsoLM
import Settings

/// The flags of a group of settings, with their help and defaults: as declared, so none is written down a second time.
package struct SettingOptions<Group: SettingGroup>: ParsableArguments, CustomReflectable {
  /// What was typed, by the settings' keys.
  private var words: [String: [String]] = [:]

  package init() {}

  private struct Key: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }
    init(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }
  }

  /// Options are found by reflection: those of the settings stand in for stored ones.
  package var customMirror: Mirror {
    Mirror(self, children: Self.flagged.map { (label: "_\($0.key)", value: Self.option($0)) })
  }

  private static var flagged: [Setting<Group>] { Group.settings.filter { $0.flag != nil } }

  private static func option(_ setting: Setting<Group>) -> Any {
    let name = NameSpecification.customLong(setting.flag!)
    let help = ArgumentHelp(
      Group.usual(setting).map { "\(setting.help) (default: \($0))" } ?? setting.help, valueName: setting.valueName)
    return switch setting.input {
    case .none: Flag<Bool?>(name: name, inversion: .prefixedNo, help: help)
    case .texts: Option<[String]>(wrappedValue: [], name: name, help: help)
    case .word, .text: Option<String?>(name: name, help: help)
    }
  }

  package init(from decoder: any Decoder) throws {
    let container = try decoder.container(keyedBy: Key.self)
    for setting in Self.flagged {
      let key = Key(stringValue: setting.key)
      words[setting.key] =
        switch setting.input {
        case .none: try container.decode(Flag<Bool?>.self, forKey: key).wrappedValue.map { ["\($0)"] }
        case .texts: try container.decode(Option<[String]>.self, forKey: key).wrappedValue
        case .word, .text: try container.decode(Option<String?>.self, forKey: key).wrappedValue.map { [$0] }
        }
    }
  }

  package func validate() throws {
    var group = Group()
    try asUsage { try given().apply(to: &group) }
  }

  /// What was typed.
  package func given() throws -> GivenSettings {
    var given = GivenSettings()
    for setting in Self.flagged { try given.set(setting, toWords: words[setting.key] ?? []) }
    return given
  }

  /// The group as the flags alone say it.
  package func group() throws -> Group {
    var group = Group()
    try asUsage { try given().apply(to: &group) }
    return group
  }
}

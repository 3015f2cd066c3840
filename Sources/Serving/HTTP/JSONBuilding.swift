import Files

// What replies are made of, written as they look.
extension JSONValue: ExpressibleByDictionaryLiteral, ExpressibleByArrayLiteral, ExpressibleByStringLiteral,
  ExpressibleByBooleanLiteral, ExpressibleByIntegerLiteral
{
  /// An object; members keep their order.
  public init(dictionaryLiteral elements: (String, JSONValue)...) {
    self = .object(elements.map { (Array($0.utf8), $1) })
  }

  /// A list.
  public init(arrayLiteral elements: JSONValue...) { self = .array(elements) }
  /// A text.
  public init(stringLiteral value: String) { self = .text(value) }
  /// True or false.
  public init(booleanLiteral value: Bool) { self = .bool(value) }
  /// A whole number.
  public init(integerLiteral value: Int) { self = .number(Double(value)) }

  static func text(_ text: String) -> JSONValue { .string(Array(text.utf8)) }
  static func count(_ number: Int) -> JSONValue { .number(Double(number)) }

  /// A log-probability. JSON has no −∞; the interface's clients know −9999.
  static func logProbability(_ value: Double) -> JSONValue { .number(value.isFinite ? value : -9999) }

  /// The object with more members.
  func with(_ more: (String, JSONValue)...) -> JSONValue {
    guard case .object(let members) = self else { return self }
    return .object(members + more.map { (Array($0.utf8), $1) })
  }
}

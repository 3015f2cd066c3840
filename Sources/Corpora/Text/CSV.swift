import Files

/// Comma-separated values (RFC 4180): fields in double quotes may hold commas, line ends and doubled quotes. A quote
/// inside a field that does not begin with one is an ordinary character.
enum CSV {
  private enum State {
    case fieldStart, plain, quoted, afterQuote
  }

  /// The state after a byte.
  @inline(__always)
  private static func next(_ state: State, _ byte: UInt8, _ lineEnd: UInt8) -> State {
    switch (state, byte) {
    case (.quoted, UInt8(ascii: "\"")): .afterQuote
    case (.quoted, _): .quoted
    case (.fieldStart, UInt8(ascii: "\"")), (.afterQuote, UInt8(ascii: "\"")): .quoted
    case (_, UInt8(ascii: ",")), (_, lineEnd): .fieldStart
    default: .plain
    }
  }

  /// The place after the last row that ends in `text`, which must begin with a row.
  static func lastRowEnd(in text: UnsafeBufferPointer<UInt8>, _ lineEnd: UInt8) -> Int? {
    var (state, end): (State, Int?) = (.fieldStart, nil)
    for (place, byte) in text.enumerated() {
      if byte == lineEnd, state != .quoted { end = place + 1 }
      state = next(state, byte, lineEnd)
    }
    return end
  }

  static func firstRowEnd(in text: UnsafeBufferPointer<UInt8>, _ lineEnd: UInt8) -> Int? {
    var state = State.fieldStart
    for (place, byte) in text.enumerated() {
      if byte == lineEnd, state != .quoted { return place + 1 }
      state = next(state, byte, lineEnd)
    }
    return nil
  }

  /// One row: its fields, or what is wrong with it, and the line it begins in.
  struct Row {
    var fields: [[UInt8]] = []
    var problem: String?
    var line: Int
  }

  /// Calls `body` with the rows of a text that begins with a row.
  static func forEachRow(
    in text: UnsafeBufferPointer<UInt8>, line: Int, _ lineEnd: UInt8, _ body: (Row) throws -> Void
  ) rethrows {
    var row = Row(line: line)
    var field: [UInt8] = []
    var (state, line) = (State.fieldStart, line)
    func finishRow() throws {
      if field.last == UInt8(ascii: "\r"), state == .plain { field.removeLast() }
      row.fields.append(field)
      field.removeAll(keepingCapacity: true)
      if row.fields.count > 1 || !row.fields[0].isEmpty { try body(row) }  // An empty line is no row.
    }
    for byte in text {
      let new = next(state, byte, lineEnd)
      if state == .afterQuote, new == .plain, byte != UInt8(ascii: "\r") {
        row.problem = row.problem ?? "text follows a closing quote"
      }
      if byte == lineEnd { line += 1 }
      switch new {
      case .fieldStart where byte == UInt8(ascii: ","):
        row.fields.append(field)
        field.removeAll(keepingCapacity: true)
      case .fieldStart:
        try finishRow()
        row = Row(line: line)
      case .afterQuote: break
      case .quoted where state == .fieldStart: break
      default:
        // A carriage return after the closing quote belongs to the line's end.
        if state != .afterQuote || new == .quoted { field.append(byte) }
      }
      state = new
    }
    if state == .quoted { row.problem = "a quoted field has no end" }
    if state != .fieldStart || !row.fields.isEmpty { try finishRow() }
  }

  /// The places of columns given by number or by name.
  ///
  /// - Parameter header: the row that names them; nil if there is none.
  static func columns(_ names: [String], header: [String]?, path: String) throws -> [Int] {
    try names.map { name in
      if let place = header?.firstIndex(of: name) { return place }
      if let number = Int(name), number >= 1 { return number - 1 }
      guard let header else { throw FileError("CSV column '\(name)' is no number from 1; names need a header row") }
      throw FileError("\(path): no column '\(name)'; expected one of \(header.joined(separator: ", "))")
    }
  }
}

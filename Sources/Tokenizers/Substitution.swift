/// Replacing text byte by byte, as most other languages do: Swift's own search takes "e" and "é" for one character's
/// parts and would not find a space before an accent.
public enum Substitution {
  /// Every occurrence from left to right, none overlapping another.
  public static func replace(_ old: String, by new: String, in text: String) -> String {
    let (old, new, bytes) = (Array(old.utf8), Array(new.utf8), Array(text.utf8))
    guard !old.isEmpty else { return text }
    var result: [UInt8] = []
    result.reserveCapacity(bytes.count)
    var place = 0
    while place < bytes.count {
      if bytes[place] == old[0], bytes[place...].starts(with: old) {
        result += new
        place += old.count
      } else {
        result.append(bytes[place])
        place += 1
      }
    }
    return String(decoding: result, as: UTF8.self)
  }
}

/// Which sources this program was built from.
public enum Revision {
  /// The git commit, with a "+" where files differed from it; "unknown" where there was no repository.
  @inline(never) public static var current: String { generatedRevision }
}

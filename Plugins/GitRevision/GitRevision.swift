import Foundation
import PackagePlugin

/// Writes the commit that is being built into the program: 12 digits, with a "+" where files differ from it, or
/// "unknown" where the sources are in no repository of their own.
@main
struct GitRevision: BuildToolPlugin {
  func createBuildCommands(context: PluginContext, target: any Target) throws -> [Command] {
    let output = context.pluginWorkDirectoryURL.appendingPathComponent("Generated")
    // The file is left alone where nothing changed, so that nothing is built again.
    let script = #"""
      revision=unknown
      if cd "$1" && [ "$(git rev-parse --show-toplevel 2>/dev/null)" = "$(pwd -P)" ]; then
        revision=$(git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
        git diff --quiet HEAD 2>/dev/null || revision="$revision+"
      fi
      mkdir -p "$2"
      line="let generatedRevision = \"$revision\""
      [ "$(cat "$2/GeneratedRevision.swift" 2>/dev/null)" = "$line" ] || echo "$line" >"$2/GeneratedRevision.swift"
      """#
    return [
      .prebuildCommand(
        displayName: "Finding the git revision", executable: URL(fileURLWithPath: "/bin/sh"),
        arguments: ["-c", script, "sh", context.package.directoryURL.path, output.path], outputFilesDirectory: output)
    ]
  }
}

import Foundation

extension EvaluationReport {
  /// One HTML page that needs nothing else: no script, no font, no image from elsewhere.
  public var html: String {
    let facts = facts.map { "<dt>\(escaped($0.name))</dt><dd>\(escaped($0.value))</dd>" }.joined(separator: "\n")
    let sections = groups.map { name, measures in
      """
      <section>
      <h2>\(escaped(name))</h2>
      \(table(measures))
      </section>
      """
    }
    let figures = figures.map { figure in
      """
      <figure>
      <figcaption>\(escaped(figure.title))</figcaption>
      \(LineChart(figure).svg)
      </figure>
      """
    }
    let shown = samples.map { "<pre>\(escaped($0))</pre>" }.joined(separator: "\n")
    let texts = samples.isEmpty ? "" : "<section>\n<h2>What it writes</h2>\n\(shown)\n</section>"
    return """
      <!DOCTYPE html>
      <html lang="en">
      <head>
      <meta charset="utf-8">
      <meta name="viewport" content="width=device-width, initial-scale=1">
      <title>\(escaped(title))</title>
      <style>
      \(Self.style)
      </style>
      </head>
      <body>
      <main>
      <h1>\(escaped(title))</h1>
      <dl>
      \(facts)
      </dl>
      \(sections.joined(separator: "\n"))
      <div class="figures">
      \(figures.joined(separator: "\n"))
      </div>
      \(texts)
      </main>
      </body>
      </html>

      """
  }

  private func table(_ measures: [Measure]) -> String {
    let rows = measures.map { measure in
      "<tr><th scope=\"row\">\(escaped(measure.name))</th><td>\(measure.text)</td><td>\(measure.errorText)</td>"
        + "<td class=\"note\">\(escaped(measure.note))</td></tr>"
    }
    return """
      <table>
      <thead><tr><th>measure</th><th>value</th><th>± error</th><th class="note">how</th></tr></thead>
      <tbody>
      \(rows.joined(separator: "\n"))
      </tbody>
      </table>
      """
  }

  private static let style = """
    :root { color-scheme: light dark; --ink: #1c1c1e; --faint: #6b6b70; --line: #d8d8dc; --page: #fff; --box: #f5f5f7;
      --s0: #2563c9; --s1: #c2410c; --s2: #15803d; --s3: #7e22ce; }
    @media (prefers-color-scheme: dark) { :root { --ink: #f0f0f2; --faint: #a0a0a8; --line: #3a3a3f; --page: #161618;
      --box: #222226; --s0: #7aa7f7; --s1: #f59e6c; --s2: #6fce8f; --s3: #c99bf5; } }
    body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
    main { max-width: 60rem; margin: 0 auto; padding: 2rem 1rem; }
    h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
    dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; } dt { color: var(--faint); }
    dd { margin: 0; overflow-wrap: anywhere; }
    section { overflow-x: auto; }
    table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
    th, td { padding: .3rem .75rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); }
    th:first-child, .note { text-align: left; } th { font-weight: 600; } td.note, thead th { color: var(--faint); }
    .figures { display: flex; flex-wrap: wrap; gap: 1rem; margin-top: 2rem; }
    figure { margin: 0; flex: 1 1 24rem; } figcaption { font-weight: 600; margin-bottom: .25rem; }
    svg { width: 100%; height: auto; } svg text { fill: var(--faint); font: 12px system-ui, sans-serif; }
    pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--box); padding: .75rem; border-radius: .4rem; }
    """
}

/// A text as HTML shows it, whatever it holds.
func escaped(_ text: String) -> String {
  var result = ""
  for scalar in text.unicodeScalars {
    switch scalar {
    case "&": result += "&amp;"
    case "<": result += "&lt;"
    case ">": result += "&gt;"
    case "\"": result += "&quot;"
    case "'": result += "&#39;"
    case "\n", "\t": result.unicodeScalars.append(scalar)
    // HTML has no way to write control characters.
    case _ where scalar.properties.generalCategory == .control: result += "\u{FFFD}"
    default: result.unicodeScalars.append(scalar)
    }
  }
  return result
}

import Foundation

/// One HTML page that needs nothing else: no font, image or script comes from elsewhere, and none runs but what a part
/// brings. It is read in light and in dark.
public struct HTMLPage: Sendable {
  private let title: String
  private var parts: [String] = []
  private var styles: [String] = []
  private var scripts: [String] = []
  /// Methods in the order of their colours.
  private var methods: [String]

  /// - Parameters:
  ///   - title: of the page.
  ///   - methods: those that have the first colours, drawn or not, so that several pages give them the same. Other methods
  ///     get theirs as they are drawn.
  public init(_ title: String, methods: [String] = []) {
    self.title = title
    self.methods = methods
  }

  /// How many colours a page has; further methods have those of the first again.
  static let colourCount = 8

  /// Names with values.
  public mutating func add(facts: [(name: String, value: String)]) {
    let rows = facts.map { "<dt>\(escaped($0.name))</dt><dd>\(escaped($0.value))</dd>" }
    parts.append("<dl>\n\(rows.joined(separator: "\n"))\n</dl>")
  }

  /// Rows under headings. The first column is to the left, and so are those in `textColumns`; all others are numbers.
  public mutating func add(table headings: [String], rows: [[String]], title: String, textColumns: Set<Int> = []) {
    func cells(_ row: [String], _ tag: String) -> String {
      row.enumerated().map { column, text in
        let name = column == 0 && tag == "td" ? "th scope=\"row\"" : tag
        let kind = textColumns.contains(column) ? " class=\"note\"" : ""
        return "<\(name)\(kind)>\(escaped(text))</\(name.prefix { $0 != " " })>"
      }.joined()
    }
    let body = rows.map { "<tr>\(cells($0, "td"))</tr>" }.joined(separator: "\n")
    parts.append(
      """
      <section>
      <h2>\(escaped(title))</h2>
      <table>
      <thead><tr>\(cells(headings, "th"))</tr></thead>
      <tbody>
      \(body)
      </tbody>
      </table>
      </section>
      """)
  }

  /// Figures side by side, as far as there is room.
  public mutating func add(figures: [LineChart]) {
    guard !figures.isEmpty else { return }
    for method in figures.flatMap(\.methods) where !methods.contains(method) { methods.append(method) }
    let colours = Dictionary(methods.enumerated().map { ($1, $0) }, uniquingKeysWith: min)
    let all = figures.map {
      "<figure>\n<figcaption>\(escaped($0.title))</figcaption>\n\($0.svg(colours: colours))\n</figure>"
    }
    parts.append("<div class=\"figures\">\n\(all.joined(separator: "\n"))\n</div>")
  }

  /// Adds a paragraph of plain text.
  public mutating func add(paragraph: String) { parts.append("<p>\(escaped(paragraph))</p>") }

  /// Texts as they are, under a title.
  public mutating func add(texts: [String], title: String) {
    guard !texts.isEmpty else { return }
    let shown = texts.map { "<pre>\(escaped($0))</pre>" }.joined(separator: "\n")
    parts.append("<section>\n<h2>\(escaped(title))</h2>\n\(shown)\n</section>")
  }

  /// A part that its script brings to life, from what the page holds for programs.
  ///
  /// - Parameters:
  ///   - part: HTML.
  ///   - style: its own, in the page's colours.
  ///   - script: run once the whole page is there.
  public mutating func add(part: String, style: String, script: String) {
    parts.append(part)
    styles.append(style)
    scripts.append(script)
  }

  /// The command that made the page, and all else that it takes to make it again.
  public mutating func add(recipe: Recipe) {
    add(texts: [recipe.command], title: "How it was made")
    add(
      facts: [("data", recipe.data)] + (recipe.seed.map { [("seed", "\($0)")] } ?? [])
        + (recipe.checkpoint.map { [("checkpoint", $0)] } ?? [])
        + [("program", recipe.program), ("machine", recipe.machine)])
  }

  /// What the page shows, for programs: as JSON, in the element `data`.
  public mutating func add(data: some Encodable) {
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.sortedKeys, .withoutEscapingSlashes]
    encoder.nonConformingFloatEncodingStrategy = .convertToString(
      positiveInfinity: "inf", negativeInfinity: "-inf", nan: "nan")
    // Values of this package have nothing that cannot be encoded.
    var json = String(decoding: try! encoder.encode(data), as: UTF8.self)
    // These stand in strings alone, where JSON may write them so; as they are, one could end the element.
    for (character, code) in [("<", "\\u003c"), (">", "\\u003e"), ("&", "\\u0026")] {
      json = json.replacingOccurrences(of: character, with: code)
    }
    parts.append("<script type=\"application/json\" id=\"data\">\(json)</script>")
  }

  /// The page.
  public var html: String {
    """
    <!DOCTYPE html>
    <html lang="en">
    <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <title>\(escaped(title))</title>
    <style>
    \(([Self.style] + styles).joined(separator: "\n"))
    </style>
    </head>
    <body>
    <main>
    <h1>\(escaped(title))</h1>
    \((parts + scripts.map { "<script>\n\($0)</script>" }).joined(separator: "\n"))
    </main>
    </body>
    </html>

    """
  }

  static let chartStyle = """
    .chart text { fill: var(--ink); font: 12px system-ui, sans-serif; } .chart .grid { stroke: var(--line); }
    .chart polyline { fill: none; stroke-width: 2; } .chart .error { fill: none; stroke-width: 1.5; }
    .chart .dot { stroke: var(--page); } .chart circle { fill: transparent; }
    .chart .point:hover .dot { stroke: var(--ink); stroke-width: 2; }
    .chart .point:hover circle { stroke: var(--faint); }
    """

  /// The same where no names stand for colours: those of a light page.
  static func plain(_ text: String) -> String {
    style.matches(of: #/--([a-z0-9]+): (#[0-9a-f]+);/#).reduce(text) {
      $0.replacingOccurrences(of: "var(--\($1.1))", with: String($1.2))
    }
  }

  private static let style = """
    :root { color-scheme: light dark; --ink: #1c1c1e; --faint: #6b6b70; --line: #d8d8dc; --page: #fff; --box: #f5f5f7;
      --s0: #2563c9; --s1: #c2410c; --s2: #15803d; --s3: #7e22ce; --s4: #a16207; --s5: #0e7490; --s6: #be185d;
      --s7: #4b5563; }
    @media (prefers-color-scheme: dark) { :root { --ink: #f0f0f2; --faint: #a0a0a8; --line: #3a3a3f; --page: #161618;
      --box: #222226; --s0: #7aa7f7; --s1: #f59e6c; --s2: #6fce8f; --s3: #c99bf5; --s4: #e5c15c; --s5: #67d4e8;
      --s6: #f58cc0; --s7: #b6bcc6; } }
    body { margin: 0; background: var(--page); color: var(--ink); font: 16px/1.5 system-ui, sans-serif; }
    main { max-width: 64rem; margin: 0 auto; padding: 2rem 1rem; }
    h1 { font-size: 1.6rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
    dl { display: grid; grid-template-columns: max-content 1fr; gap: .1rem 1rem; } dt { color: var(--faint); }
    dd { margin: 0; overflow-wrap: anywhere; }
    section { overflow-x: auto; }
    table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
    th, td { padding: .3rem .75rem .3rem 0; text-align: right; border-bottom: 1px solid var(--line); }
    th:first-child, .note { text-align: left; } th { font-weight: 600; } td.note, thead th { color: var(--faint); }
    .figures { display: flex; flex-wrap: wrap; gap: 1rem; margin-top: 2rem; }
    figure { margin: 0; flex: 1 1 480px; min-width: 0; overflow-x: auto; }
    figcaption { font-weight: 600; margin-bottom: .25rem; }
    .chart { display: block; width: 100%; min-width: 480px; height: auto; }
    \(chartStyle)
    pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--box); padding: .75rem; border-radius: .4rem; }
    """
}

/// A text as HTML shows it, whatever it holds.
public func escaped(_ text: String) -> String {
  var result = String.UnicodeScalarView()
  for scalar in text.unicodeScalars {
    switch scalar {
    case "&": result.append(contentsOf: "&amp;".unicodeScalars)
    case "<": result.append(contentsOf: "&lt;".unicodeScalars)
    case ">": result.append(contentsOf: "&gt;".unicodeScalars)
    case "\"": result.append(contentsOf: "&quot;".unicodeScalars)
    case "'": result.append(contentsOf: "&#39;".unicodeScalars)
    case "\n", "\t": result.append(scalar)
    // HTML has no way to write control characters.
    case _ where scalar.properties.generalCategory == .control: result.append("\u{FFFD}")
    default: result.append(scalar)
    }
  }
  return String(result)
}

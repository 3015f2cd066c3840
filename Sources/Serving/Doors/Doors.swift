import Hummingbird

extension ModelServer {
  /// What editors and other servers' clients ask.
  func addDoors(to router: Router<ServingContext>) {
    let handlers = handlers
    for path in ["/v1/fim/completions", "/fim/completions"] {
      router.post(RouterPath(path), use: handlers.post { try await FIMDoor(handlers: handlers).completions($0, $1) })
    }
    let llama = LlamaDoor(handlers: handlers)
    router.post("/infill", use: handlers.post { try await llama.infill($0, $1) })
    router.post("/completion", use: handlers.post { try await llama.completion($0, $1) })
    let ollama = OllamaDoor(handlers: handlers)
    router.post("/api/show", use: handlers.post { fields, _ in try ollama.show(fields) })
    router.post("/api/generate", use: handlers.post { try await ollama.generate($0, $1) })
    router.get("/api/tags") { _, _ in Response.json(ollama.tags) }
    router.get("/api/version") { _, _ in Response.json(["version": "0.0.0-esolm"]) }
  }
}

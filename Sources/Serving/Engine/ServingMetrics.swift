import Metrics

/// What a server counts, under the names that its metrics have.
struct ServingMetrics: Sendable {
  let requests: Counter
  let cancelledRequests: Counter
  let promptTokens: Counter
  let generatedTokens: Counter
  let networkCalls: Counter
  let draftedTokens: Counter
  let acceptedTokens: Counter
  let callSeconds: Timer
  let firstTokenSeconds: Timer
  let requestSeconds: Timer
  let liveTexts: Gauge
  let waitingTexts: Gauge
  let cacheBytes: Gauge
  let prefixBytes: Gauge

  private let factory: any MetricsFactory

  init(_ factory: any MetricsFactory) {
    self.factory = factory
    func counter(_ name: String) -> Counter { Counter(label: "esolm_\(name)_total", factory: factory) }
    func timer(_ name: String) -> Timer { Timer(label: "esolm_\(name)_seconds", factory: factory) }
    func gauge(_ name: String) -> Gauge { Gauge(label: "esolm_\(name)", factory: factory) }
    requests = counter("requests")
    cancelledRequests = counter("cancelled_requests")
    promptTokens = counter("prompt_tokens")
    generatedTokens = counter("generated_tokens")
    networkCalls = counter("network_calls")
    draftedTokens = counter("drafted_tokens")
    acceptedTokens = counter("accepted_tokens")
    callSeconds = timer("network_call")
    firstTokenSeconds = timer("time_to_first_token")
    requestSeconds = timer("request")
    liveTexts = gauge("texts_live")
    waitingTexts = gauge("texts_waiting")
    cacheBytes = gauge("cache_bytes")
    prefixBytes = gauge("idle_prefix_cache_bytes")
  }

  /// A request that was answered.
  func answered(_ path: String, status: Int) {
    Counter(
      label: "esolm_responses_total", dimensions: [("path", path), ("status", "\(status)")], factory: factory
    ).increment()
  }
}

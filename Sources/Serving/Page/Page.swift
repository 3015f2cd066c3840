import HTTPTypes
import Hummingbird

extension ModelServer {
  /// The page and its parts, all from here.
  func addPage(to router: Router<ServingContext>) {
    func file(_ path: RouterPath, _ type: String, _ bytes: [UInt8]) {
      router.get(path) { _, _ in
        Response(
          status: .ok,
          headers: [
            .contentType: "\(type); charset=utf-8", .cacheControl: "no-cache",
            .contentSecurityPolicy: "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
              + "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
          ], body: ResponseBody(byteBuffer: ByteBuffer(bytes: bytes)))
      }
    }
    file("/", "text/html", PackageResources.page_html)
    file("/page.css", "text/css", PackageResources.page_css)
    file("/page.js", "text/javascript", PackageResources.page_js)
  }
}

@testable import Serving
import HummingbirdTesting

import com.fasterxml.jackson.databind.JsonNode;
import com.fasterxml.jackson.databind.ObjectMapper;
import java.util.ArrayList;
import java.util.List;
import java.util.Objects;
import java.util.concurrent.Executors;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;

/**
 * Holds the local services against Azure's clients for Java: Event Hubs over TLS with its checkpoints in Azurite, and
 * Cosmos DB in gateway mode over HTTPS. ../run starts it; like the other scripts it prints a line for each check, and its
 * exit code says whether all held.
 */
final class Conformance {
    /** Bounds what hangs. */
    private static final long SECONDS = 90;
    /** The exit code when a check failed, told apart from what ends a program otherwise. */
    private static final int SOME_FAILED = 3;

    /** The {@code ready} line of the emulator that ../run has started. */
    static final JsonNode SECURE = started("TXGEN_SECURE");

    interface Body {
        void run() throws Exception;
    }

    record Check(String suite, String name, Body body) {}

    private Conformance() {}

    public static void main(String[] arguments) throws Exception {
        String only = arguments.length > 0 ? arguments[0] : "";
        List<Check> checks = new ArrayList<>(EventHubs.CHECKS);
        checks.addAll(Cosmos.CHECKS);
        checks.removeIf(check -> !check.name().contains(only));
        // Each has a hub or a container of its own.
        ExecutorService threads = Executors.newCachedThreadPool();
        List<Future<Boolean>> verdicts = new ArrayList<>();
        for (Check check : checks) {
            verdicts.add(threads.submit(() -> holds(check)));
        }
        int code = 0;
        for (int i = 0; i < checks.size(); i++) {
            try {
                if (!verdicts.get(i).get(SECONDS, TimeUnit.SECONDS)) {
                    code = SOME_FAILED;
                }
            } catch (TimeoutException hangs) {
                print("FAIL %s: %s: not within %d s", checks.get(i).suite(), checks.get(i).name(), SECONDS);
                code = SOME_FAILED;
            }
        }
        System.exit(code);
    }

    private static boolean holds(Check check) {
        long begin = System.nanoTime();
        try {
            check.body().run();
        } catch (Throwable failure) {
            print("FAIL %s: %s: %s", check.suite(), check.name(), failure.toString().replaceAll("\\s+", " "));
            if (System.getenv("VERBOSE") != null) {
                failure.printStackTrace();
            }
            return false;
        }
        print("ok   %s: %s (%.2f s)", check.suite(), check.name(), (System.nanoTime() - begin) / 1e9);
        return true;
    }

    private static synchronized void print(String format, Object... values) {
        System.out.printf(format + "%n", values);
    }

    private static JsonNode started(String name) {
        try {
            return new ObjectMapper().readTree(System.getenv(name));
        } catch (Exception failure) {
            throw new IllegalStateException("the environment has no " + name + " as ../run sets it", failure);
        }
    }

    static void equal(Object actual, Object expected, String what) {
        that(Objects.equals(actual, expected), what + " is " + actual + ", and should be " + expected);
    }

    static void that(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }
}

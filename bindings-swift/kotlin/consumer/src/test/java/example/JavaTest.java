package example;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.sun.net.httpserver.HttpServer;
import dev.smalt.AuthType;
import dev.smalt.Project;
import dev.smalt.Secret;
import dev.smalt.Session;
import dev.smalt.Smalt;
import dev.smalt.SmaltException;
import java.io.ByteArrayInputStream;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.charset.StandardCharsets;
import java.time.Duration;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class JavaTest {
    @Test
    void everyVerbIsAFuture() throws Exception {
        try (Smalt smalt = Smalt.openSandbox().get()) {
            var account = smalt.account("customer-42").getFutures();
            account.ensure()
                    .thenCompose(made -> account.connect("sandbox-oauth"))
                    .thenCompose(connection -> account.config("sandbox-oauth"))
                    .thenAccept(config -> assertEquals("sandbox-oauth", config.getApplication()))
                    .get();
            assertTrue(account.request("sandbox-oauth", "GET", "items").get().getStatus() == 200);
            var body = new ByteArrayInputStream("hello".getBytes(StandardCharsets.UTF_8));
            var sent = account.upload("sandbox-oauth", "PUT", "echo", body, "text/plain", 5L).get();
            assertTrue(new String(sent.getBody(), StandardCharsets.UTF_8).contains("hello"));
            var failed = assertThrows(ExecutionException.class, () -> account.credential("sandbox-key").get());
            assertEquals("not_connected", assertInstanceOf(SmaltException.Conflict.class, failed.getCause()).getCode());
        }
    }

    @Test
    void cancellingAFutureCancelsItsCall() throws Exception {
        try (Smalt smalt = Smalt.openSandbox().get()) {
            var events = smalt.getFutures().eventsPage(null, 1000).get().getItems();
            var last = events.isEmpty() ? null : events.get(events.size() - 1).getCursor();
            var waiting = smalt.getFutures().eventsPage(last, 1, Duration.ofMinutes(10));
            assertTrue(waiting.cancel(true));
            assertThrows(CancellationException.class, waiting::get);
        }
    }

    @Test
    void whatGoesOnInAFutureMayBlock() throws Exception {
        try (Smalt smalt = Smalt.openSandbox().get()) {
            var account = smalt.account("a").getFutures();
            account.ensure().thenApply(made -> account.get().join()).thenAccept(read -> assertEquals("a", read.getId())).get();
        }
    }

    @Test
    void optionsAndTheirOverloads() throws Exception {
        var project = new Project(1);
        try (Smalt smalt = Smalt.openSandbox(options -> options.setProject(project)).get()) {
            var account = smalt.account("a").getFutures();
            account.ensure().get();
            var inputs = Map.of("key", new Secret("sandbox-key-good"), "workspace", new Secret("acme"));
            assertEquals("sandbox-key", account.connect("sandbox-key", inputs, AuthType.KEYBASED).get().getApplication());
            var first = account.connect("sandbox-oauth").get();
            var again = account.connect("sandbox-oauth", Map.of(), null, null, first.getId()).get();
            assertEquals(first.getId(), again.getId());
            var session = smalt.account("a").getFutures().session().get();
            assertEquals("a", smalt.getFutures().session(session.getToken()).get().getAccountId());
            // One that enables nothing.
            smalt.getFutures().setProject(project).get();
            var failed = assertThrows(ExecutionException.class, () -> account.connect("sandbox-key", inputs).get());
            assertEquals("application_not_found", assertInstanceOf(SmaltException.NotFound.class, failed.getCause()).getCode());
        }
    }

    @Test
    void listsComeOneByOne() throws Exception {
        try (Smalt smalt = Smalt.openSandbox().get()) {
            var account = smalt.account("a").getFutures();
            account.ensure().get();
            account.connect("sandbox-oauth").get();
            var page = account.requestPage("sandbox-oauth", "GET", "items").get();
            assertTrue(page.getAnswer().getStatus() == 200 && !page.getItems().isEmpty());
            List<Object> items = new ArrayList<>();
            account.pages("sandbox-oauth", "GET", "items", items::add).get();
            assertTrue(items.size() >= page.getItems().size() && items.containsAll(page.getItems()));
            List<String> accounts = new ArrayList<>();
            smalt.getFutures().accounts(one -> accounts.add(one.getId())).get();
            assertEquals(List.of("a"), accounts);
            var thrown = new IllegalStateException("no more");
            var failed = assertThrows(ExecutionException.class, () -> smalt.getFutures().accounts(one -> {
                throw thrown;
            }).get());
            assertTrue(failed.getCause() == thrown || failed.getCause().getCause() == thrown, failed.toString());
        }
    }

    @Test
    void eventsGoOnUntilTheyAreCancelled() throws Exception {
        try (Smalt smalt = Smalt.openSandbox().get()) {
            var account = smalt.account("a").getFutures();
            account.ensure().get();
            var connected = new CountDownLatch(1);
            var events = smalt.getFutures().events(event -> {
                if ("sandbox-oauth".equals(event.getApplication())) connected.countDown();
            });
            account.connect("sandbox-oauth").get();
            assertTrue(connected.await(60, TimeUnit.SECONDS));
            assertTrue(!events.isDone() && events.cancel(true));
            assertThrows(CancellationException.class, events::get);
        }
    }

    @Test
    void whatTakesTooLongEnds() throws Exception {
        try (Smalt smalt = Smalt.openSandbox().get()) {
            var events = smalt.getFutures().eventsPage(null, 1000).get().getItems();
            var last = events.isEmpty() ? null : events.get(events.size() - 1).getCursor();
            var waiting = smalt.getFutures().withTimeout(Duration.ofMillis(50)).eventsPage(last, 1, Duration.ofMinutes(10));
            var failed = assertThrows(ExecutionException.class, waiting::get);
            assertEquals("outcome_unknown", assertInstanceOf(SmaltException.class, failed.getCause()).getCode());
        }
    }

    /** A server with one operation; it keeps what it was shown as authority. */
    private static HttpServer serves(Collection<String> shown) throws Exception {
        var server = HttpServer.create(new InetSocketAddress(InetAddress.getLoopbackAddress(), 0), 0);
        server.createContext("/", exchange -> {
            var looks = exchange.getRequestURI().getPath().endsWith("/capabilities");
            if (!looks) shown.add(String.valueOf(exchange.getRequestHeaders().getFirst("Authorization")));
            var able = "{\"backend\":\"embedded\",\"version\":\"1\",\"operations\":[\"list_apps\"],\"workflows\":false,\"presenter\":false}";
            var body = (looks ? able : "[]").getBytes(StandardCharsets.UTF_8);
            exchange.getResponseHeaders().add("Content-Type", "application/json");
            exchange.sendResponseHeaders(200, body.length);
            try (var answer = exchange.getResponseBody()) {
                answer.write(body);
            }
        });
        server.start();
        return server;
    }

    private static String address(HttpServer server) {
        return "http://127.0.0.1:" + server.getAddress().getPort();
    }

    @Test
    void aSessionAsksForItsTokenLater() throws Exception {
        var shown = new ConcurrentLinkedQueue<String>();
        var server = serves(shown);
        var token = new CompletableFuture<Secret>();
        try (var session = Session.open(address(server), () -> token, options -> options.timeout(Duration.ofMinutes(2)))) {
            var apps = session.getFutures().listApps();
            assertTrue(!apps.isDone());
            token.complete(new Secret("from-java"));
            assertTrue(apps.get().isEmpty());
            assertEquals(List.of("Bearer from-java"), List.copyOf(shown));
        } finally {
            server.stop(0);
        }
    }

    @Test
    void aTokenThatCannotBeHadIsThePluginsFault() throws Exception {
        var shown = new ConcurrentLinkedQueue<String>();
        var server = serves(shown);
        var cause = new IllegalStateException("the backend is away");
        try (var session = Session.open(address(server), () -> CompletableFuture.failedFuture(cause))) {
            var failed = assertThrows(ExecutionException.class, () -> session.getFutures().listApps().get());
            var error = assertInstanceOf(SmaltException.Plugin.class, failed.getCause());
            assertTrue(error.getReason().contains("the backend is away"), error.getReason());
            assertTrue(shown.isEmpty());
        } finally {
            server.stop(0);
        }
    }
}

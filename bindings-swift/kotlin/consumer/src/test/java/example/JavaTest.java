package example;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertInstanceOf;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.smalt.Smalt;
import dev.smalt.SmaltException;
import java.time.Duration;
import java.util.concurrent.CancellationException;
import java.util.concurrent.ExecutionException;
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
}

using System.Runtime.InteropServices;
using Stig.Model.Data;

namespace Stig.Model.Tests.Data;

public sealed class PrefetcherTests
{
    [Theory]
    [InlineData(2, 1)]
    [InlineData(3, 2)]
    [InlineData(5, 4)]
    public void Batches_come_in_order_from_the_step_asked_for(int depth, int threads)
    {
        // Odd steps take longer, so that threads overtake each other.
        static void Source(long step, Span<float> real, Span<float> fake)
        {
            Thread.Sleep(step % 2 == 1 ? 3 : 0);
            real.Fill(step);
            fake.Fill(-step);
        }

        using var prefetcher = new Prefetcher(Source, 8, firstStep: 1000, depth, threads);
        for (long step = 1000; step < 1060; step++)
        {
            PrefetchedBatch batch = prefetcher.Next();
            Assert.Equal(step, batch.Step);
            Assert.All(batch.Real.ToArray(), value => Assert.Equal(step, value));
            Assert.All(batch.Fake.ToArray(), value => Assert.Equal(-step, value));
        }
    }

    [Fact]
    public void Preparation_stays_within_the_depth_and_reuses_its_buffers()
    {
        const int Depth = 3;
        long furthest = -1, handedOut = 0, tooFar = 0;
        void Source(long step, Span<float> real, Span<float> fake)
        {
            Interlocked.Exchange(ref furthest, Math.Max(Interlocked.Read(ref furthest), step));
            if (step >= Interlocked.Read(ref handedOut) + Depth)
            {
                Interlocked.Increment(ref tooFar);
            }
        }

        using var prefetcher = new Prefetcher(Source, 4, depth: Depth, threads: 2);
        var buffers = new HashSet<float[]>();
        for (int step = 0; step < 50; step++)
        {
            // From the call of Next on, the batch before it is given back, so one more may be begun.
            Interlocked.Exchange(ref handedOut, step);
            PrefetchedBatch batch = prefetcher.Next();
            Assert.True(MemoryMarshal.TryGetArray(batch.Real, out ArraySegment<float> real));
            buffers.Add(real.Array!);
        }

        Assert.Equal(Depth, buffers.Count);
        Assert.Equal(0, tooFar);
        // Without another call nothing beyond the ring is begun: step 49 is on loan, so 51 is the last.
        Thread.Sleep(50);
        Assert.InRange(Interlocked.Read(ref furthest), 49, 51);
    }

    [Fact]
    public void An_exception_comes_out_at_its_step_and_stays()
    {
        static void Source(long step, Span<float> real, Span<float> fake)
        {
            if (step == 5)
            {
                throw new InvalidDataException("step five");
            }
        }

        using var prefetcher = new Prefetcher(Source, 4, threads: 2);
        for (int step = 0; step < 5; step++)
        {
            Assert.Equal(step, prefetcher.Next().Step);
        }

        Assert.Equal("step five", Assert.Throws<InvalidDataException>(() => prefetcher.Next()).Message);
        Assert.Throws<InvalidDataException>(() => prefetcher.Next());
    }

    [Fact]
    public void Disposal_stops_the_threads()
    {
        int calls = 0;
        var prefetcher = new Prefetcher((_, _, _) => Interlocked.Increment(ref calls), 4, threads: 3, depth: 4);
        prefetcher.Next();
        prefetcher.Dispose();
        int atDisposal = Volatile.Read(ref calls);
        Thread.Sleep(30);
        Assert.Equal(atDisposal, Volatile.Read(ref calls));
        Assert.Throws<ObjectDisposedException>(() => prefetcher.Next());
        prefetcher.Dispose();
    }

    [Fact]
    public void A_step_allocates_nothing()
    {
        // Counted by thread, so that tests running beside this one do not matter: the worker's from step 200 to 2200, the
        // consumer's over as many. One object a step would be 48000 bytes; what is allowed for is the runtime's own, when a
        // wait first blocks.
        long atStart = 0, atEnd = 0;
        void Source(long step, Span<float> real, Span<float> fake)
        {
            if (step is 200 or 2200)
            {
                Volatile.Write(ref step == 200 ? ref atStart : ref atEnd, GC.GetAllocatedBytesForCurrentThread());
            }

            real.Fill(step);
        }

        using var prefetcher = new Prefetcher(Source, 64, depth: 4, threads: 1);
        long before = 0;
        for (int step = 0; step <= 2210; step++)
        {
            before = step == 200 ? GC.GetAllocatedBytesForCurrentThread() : before;
            prefetcher.Next();
        }

        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 4096);
        Assert.InRange(Volatile.Read(ref atEnd) - Volatile.Read(ref atStart), 0, 4096);
    }
}

using System.Runtime.ExceptionServices;

namespace Stig.Model.Data;

/// <summary>Writes the batch of a step, as <see cref="UnpairedDataset.Fill"/> does; must be safe for use by several
/// threads.</summary>
/// <param name="step">The step.</param>
/// <param name="real">Receives the real images, [B, 3, S, S] intensities in [0,1].</param>
/// <param name="fake">Receives the fake images, [B, 3, S, S] intensities in [0,1].</param>
public delegate void BatchSource(long step, Span<float> real, Span<float> fake);

/// <summary>A batch on loan from a <see cref="Prefetcher"/>.</summary>
/// <param name="Step">The step it belongs to.</param>
/// <param name="Real">The real images, as the source wrote them, in pinned memory.</param>
/// <param name="Fake">The fake images, as the source wrote them, in pinned memory.</param>
public readonly record struct PrefetchedBatch(long Step, ReadOnlyMemory<float> Real, ReadOnlyMemory<float> Fake);

/// <summary>Prepares the batches of steps k, k + 1, ... on threads of its own and hands them out in order.</summary>
/// <remarks>A ring of <c>depth</c> buffers: step s lives in buffer s mod depth, which is free again once step s - depth is done
/// with. Nothing is allocated after construction. One consumer at a time.</remarks>
public sealed class Prefetcher : IDisposable
{
    private readonly BatchSource source;
    private readonly Buffer[] ring;
    private readonly Thread[] workers;
    private readonly Lock gate = new();
    private readonly SemaphoreSlim free;
    private long nextToFill;
    private long nextToHandOut;
    private bool onLoan;
    private volatile bool stopping;

    /// <summary>Starts preparing.</summary>
    /// <param name="source">Writes a batch.</param>
    /// <param name="batchLength">Values of one domain's batch.</param>
    /// <param name="firstStep">The first step k, at least 0.</param>
    /// <param name="depth">Batches held at a time, the one on loan included, at least 2.</param>
    /// <param name="threads">Threads that prepare batches, at least 1.</param>
    /// <exception cref="ArgumentOutOfRangeException">A number is outside its range.</exception>
    public Prefetcher(BatchSource source, int batchLength, long firstStep = 0, int depth = 4, int threads = 1)
    {
        ArgumentNullException.ThrowIfNull(source);
        ArgumentOutOfRangeException.ThrowIfLessThan(batchLength, 1);
        ArgumentOutOfRangeException.ThrowIfNegative(firstStep);
        ArgumentOutOfRangeException.ThrowIfLessThan(depth, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(threads, 1);
        this.source = source;
        ring = new Buffer[depth];
        for (int i = 0; i < depth; i++)
        {
            ring[i] = new Buffer(batchLength);
        }

        free = new SemaphoreSlim(depth);
        nextToFill = nextToHandOut = firstStep;
        workers = new Thread[Math.Min(threads, depth)];
        for (int i = 0; i < workers.Length; i++)
        {
            workers[i] = new Thread(Work) { IsBackground = true, Name = $"stig batches {i}" };
            workers[i].Start();
        }
    }

    /// <summary>Waits for the next step's batch. Its memory is valid until the next call or until disposal.</summary>
    /// <exception cref="ObjectDisposedException">It has been disposed of.</exception>
    /// <remarks>An exception of the source comes out here, at the step it belongs to, and again at every further call.</remarks>
    public PrefetchedBatch Next()
    {
        ObjectDisposedException.ThrowIf(stopping, this);
        if (onLoan)
        {
            onLoan = false;
            nextToHandOut++;
            free.Release();
        }

        Buffer buffer = ring[nextToHandOut % ring.Length];
        buffer.Filled.Wait();
        if (buffer.Failure is { } failure)
        {
            // The buffer stays filled, so that a further call meets the same failure instead of waiting for ever.
            buffer.Filled.Release();
            failure.Throw();
        }

        onLoan = true;
        return new PrefetchedBatch(nextToHandOut, buffer.Real, buffer.Fake);
    }

    /// <summary>Stops the threads and waits for batches in preparation to end. For the consumer to call, not while it waits in
    /// <see cref="Next"/>.</summary>
    public void Dispose()
    {
        if (stopping)
        {
            return;
        }

        stopping = true;
        free.Release(workers.Length);
        foreach (Thread worker in workers)
        {
            worker.Join();
        }

        free.Dispose();
        foreach (Buffer buffer in ring)
        {
            buffer.Filled.Dispose();
        }
    }

    private void Work()
    {
        while (true)
        {
            free.Wait();
            if (stopping)
            {
                return;
            }

            long step;
            lock (gate)
            {
                step = nextToFill++;
            }

            Buffer buffer = ring[step % ring.Length];
            try
            {
                source(step, buffer.Real, buffer.Fake);
            }
            catch (Exception error)
            {
                buffer.Failure = ExceptionDispatchInfo.Capture(error);
            }

            buffer.Filled.Release();
        }
    }

    private sealed class Buffer(int length)
    {
        public float[] Real { get; } = GC.AllocateUninitializedArray<float>(length, pinned: true);

        public float[] Fake { get; } = GC.AllocateUninitializedArray<float>(length, pinned: true);

        public SemaphoreSlim Filled { get; } = new(0);

        public ExceptionDispatchInfo? Failure { get; set; }
    }
}

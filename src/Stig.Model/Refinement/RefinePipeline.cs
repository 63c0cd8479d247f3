using System.Diagnostics;
using System.Runtime.CompilerServices;
using System.Runtime.ExceptionServices;
using System.Threading.Channels;
using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>Options of a <see cref="RefinePipeline"/>.</summary>
public sealed record RefinePipelineOptions
{
    /// <summary>How images are read and written.</summary>
    public RefineCodec Codec { get; init; } = new();

    /// <summary>Threads that decode and encode; 0 for one a processor.</summary>
    public int CodecThreads { get; init; }

    /// <summary>
    /// Bytes of decoded images held at a time. No image is decoded while they are in use, so that at most as many images as there are
    /// threads come on top, and 32 MiB at most of memory that is kept for the next ones.
    /// </summary>
    public long MemoryBytes { get; init; } = 256L << 20;

    /// <summary>Items that are between being taken from the input and being given out, at most; 0 for a number that keeps everything busy.</summary>
    public int Window { get; init; }
}

/// <summary>A part of the pipeline, as a summary names what was the limit.</summary>
public enum PipelineStage
{
    /// <summary>Finding inputs.</summary>
    List,

    /// <summary>Reading and decoding.</summary>
    Decode,

    /// <summary>The model.</summary>
    Device,

    /// <summary>Encoding and writing.</summary>
    Encode,
}

/// <summary>How busy the parts of a pipeline were.</summary>
/// <param name="Seconds">Time since the pipeline was started.</param>
/// <param name="List">Share of it in which inputs were being looked for, 0 to 1.</param>
/// <param name="Decode">Share of the codec threads' time that went into reading and decoding.</param>
/// <param name="Device">Share in which a device computed, the mean over devices.</param>
/// <param name="Encode">Share of the codec threads' time that went into encoding and writing.</param>
public readonly record struct PipelineLoad(double Seconds, double List, double Decode, double Device, double Encode)
{
    /// <summary>The stage that had the least spare time. Decoding and encoding share threads: their sum is compared, the larger named.</summary>
    public PipelineStage Limit
    {
        get
        {
            double codec = Decode + Encode;
            return Device >= codec && Device >= List ? PipelineStage.Device
                : codec >= List ? (Decode >= Encode ? PipelineStage.Decode : PipelineStage.Encode)
                : PipelineStage.List;
        }
    }
}

/// <summary>
/// Refines a stream of images: list, decode, device, encode. Items are taken from the input as there is room; codec threads decode and
/// encode; one thread a device takes groups of images of one size from a shared queue; outcomes are given out as they are done.
/// </summary>
/// <remarks>
/// Everything is bounded: items by the window, pixels by the memory. A group waits for more images of its size only while such may come
/// soon: not while a device is idle and nothing is being decoded, nor longer than four windows. A bad image costs only itself, also one
/// at which the program itself is at fault. The result of an image does not depend on the grouping, see <see cref="Refiner"/>.
/// </remarks>
/// <param name="devices">A refiner a device, all of the same model. They stay the caller's.</param>
/// <param name="options">Codec, threads, bounds.</param>
public sealed class RefinePipeline(IReadOnlyList<IImageRefiner> devices, RefinePipelineOptions options)
{
    /// <summary>Bytes of memory of images that are done with that are kept for the next ones.</summary>
    internal const long IdleBytes = 32 << 20;

    private readonly int codecThreads = options.CodecThreads > 0 ? options.CodecThreads : Environment.ProcessorCount;
    private Run? current;

    /// <summary>How busy the parts have been; all zero before the start.</summary>
    public PipelineLoad Load => current?.Load ?? default;

    /// <summary>Refines images. Stopping the enumeration early ends the pipeline's threads as soon as each has done the step at hand.</summary>
    /// <param name="items">The images; read on a thread of its own, one item ahead of need.</param>
    /// <param name="drain">
    /// Asks to end: no other image is begun, those that have reached a device are finished and given out, then the stream ends without an
    /// exception.
    /// </param>
    /// <exception cref="InvalidOperationException">The pipeline runs already.</exception>
    /// <exception cref="Interop.Cuda.DeviceLostException">A device went away; what had been computed was given out first.</exception>
    /// <exception cref="IOException">An item could not write its output.</exception>
    public async IAsyncEnumerable<RefineOutcome> RunAsync(
        IAsyncEnumerable<RefineItem> items, [EnumeratorCancellation] CancellationToken drain = default)
    {
        ArgumentNullException.ThrowIfNull(items);
        if (current is { IsRunning: true })
        {
            throw new InvalidOperationException("The pipeline runs already.");
        }

        var run = new Run(devices, options, codecThreads, drain);
        current = run;
        try
        {
            Task running = run.StartAsync(items);
            await foreach (RefineOutcome outcome in run.Outcomes.ReadAllAsync(CancellationToken.None).ConfigureAwait(false))
            {
                yield return outcome;
                run.Release();
            }

            await running.ConfigureAwait(false);
        }
        finally
        {
            await run.DisposeAsync().ConfigureAwait(false);
        }
    }

    // All state stands under one lock. Codec threads prefer encoding, which frees memory, to decoding, which takes it.
    private sealed class Run : IAsyncDisposable
    {
        private readonly IReadOnlyList<IImageRefiner> devices;
        private readonly RefinePipelineOptions options;
        private readonly RefineCodec codec;
        private readonly int codecThreads;
        private readonly int batch;
        private readonly long maxAge;
        private readonly int gulp;
        private readonly CancellationToken drain;
        private readonly CancellationTokenSource stopping = new();
        private readonly SemaphoreSlim slots;
        private readonly Channel<RefineOutcome> outcomes =
            Channel.CreateUnbounded<RefineOutcome>(new UnboundedChannelOptions { SingleReader = true });

        private readonly PixelArrays arrays = new(IdleBytes);
        private readonly object gate = new();
        private readonly Queue<RefineItem> accepted = new();
        private readonly Queue<Loaded> refined = new();
        private readonly Dictionary<(int Width, int Height), List<Loaded>> groups = [];
        private readonly long started = Stopwatch.GetTimestamp();
        private Task finished = Task.CompletedTask;
        private int idleCodecs;
        private int idleDevices;
        private int released;
        private int decoding;
        private int encoding;
        private int liveDevices;
        private long heldBytes;
        private long sequence;
        private bool fed;
        private bool abandoned;
        private ExceptionDispatchInfo? error;
        private long listTicks;
        private long decodeTicks;
        private long encodeTicks;
        private long deviceTicks;
        private long endTicks;

        public Run(IReadOnlyList<IImageRefiner> devices, RefinePipelineOptions options, int codecThreads, CancellationToken drain)
        {
            ArgumentOutOfRangeException.ThrowIfZero(devices.Count, nameof(devices));
            ArgumentOutOfRangeException.ThrowIfLessThan(options.MemoryBytes, 1, nameof(options));
            ArgumentOutOfRangeException.ThrowIfNegative(options.Window, nameof(options));
            (this.devices, this.options, this.codecThreads, this.drain) = (devices, options, codecThreads, drain);
            codec = options.Codec;
            batch = devices.Max(device => device.Batch);

            // In floating point, where no number of devices and images overflows.
            int window = options.Window > 0 ? options.Window : (int)Math.Min(int.MaxValue, 4.0 * (((double)devices.Count * batch) + codecThreads));
            maxAge = 4L * window;
            gulp = Math.Max(1, window / 4);
            slots = new SemaphoreSlim(window);
        }

        public bool IsRunning => !finished.IsCompleted;

        public ChannelReader<RefineOutcome> Outcomes => outcomes.Reader;

        public PipelineLoad Load
        {
            get
            {
                long end = Volatile.Read(ref endTicks);
                double all = Math.Max(1, (end != 0 ? end : Stopwatch.GetTimestamp()) - started);
                return new PipelineLoad(
                    all / Stopwatch.Frequency,
                    Volatile.Read(ref listTicks) / all,
                    Volatile.Read(ref decodeTicks) / all / codecThreads,
                    Volatile.Read(ref deviceTicks) / all / devices.Count,
                    Volatile.Read(ref encodeTicks) / all / codecThreads);
            }
        }

        // No further image is begun.
        private bool Ending => error is not null || abandoned || drain.IsCancellationRequested;

        private bool MayDecode => accepted.Count > 0 && !Ending && heldBytes < options.MemoryBytes;

        // What a codec thread waits for: something to encode, something to decode, or the end.
        private bool CodecMayGoOn => refined.Count > 0 || MayDecode || liveDevices == 0;

        // What a device waits for: a group to compute, or the end.
        private bool DeviceMayGoOn => Ending || Exhausted || Ready() is not null;

        // Nothing comes to the devices any more.
        private bool Exhausted => (fed || Ending) && (accepted.Count == 0 || Ending) && decoding == 0;

        public Task StartAsync(IAsyncEnumerable<RefineItem> items)
        {
            CancellationTokenRegistration wake = drain.Register(Stop);
            liveDevices = devices.Count;
            List<Task> threads = [Task.Run(() => FeedAsync(items))];
            threads.AddRange(Enumerable.Range(0, codecThreads).Select(index => Start(Code, $"codec {index}")));
            threads.AddRange(devices.Select(device => Start(() => Compute(device), device.Device)));
            finished = Task.WhenAll(threads).ContinueWith(
                _ =>
                {
                    wake.Dispose();
                    Volatile.Write(ref endTicks, Stopwatch.GetTimestamp());
                    outcomes.Writer.Complete();
                },
                CancellationToken.None, TaskContinuationOptions.None, TaskScheduler.Default);
            return ThrowAtEndAsync();
        }

        /// <summary>An outcome has been taken over by the caller.</summary>
        public void Release()
        {
            // In gulps, so that the input's thread is not woken for every item.
            if (++released >= gulp)
            {
                slots.Release(released);
                released = 0;
            }
        }

        /// <summary>Ends the threads, each after the step at hand.</summary>
        public async ValueTask DisposeAsync()
        {
            lock (gate)
            {
                abandoned = true;
            }

            Stop();
            await finished.ConfigureAwait(false);
            stopping.Dispose();
            slots.Dispose();
        }

        private void Stop()
        {
            stopping.Cancel();
            lock (gate)
            {
                Monitor.PulseAll(gate);
            }
        }

        private async Task ThrowAtEndAsync()
        {
            await finished.ConfigureAwait(false);
            error?.Throw();
        }

        private Task Start(Action body, string name)
        {
            TaskCompletionSource done = new(TaskCreationOptions.RunContinuationsAsynchronously);
            new Thread(() =>
            {
                try
                {
                    body();
                }
                catch (Exception thrown)
                {
                    Fail(thrown);
                }
                finally
                {
                    done.SetResult();
                }
            })
            { IsBackground = true, Name = name }.Start();
            return done.Task;
        }

        // The first error ends all threads and is thrown to the caller.
        private void Fail(Exception thrown)
        {
            lock (gate)
            {
                error ??= ExceptionDispatchInfo.Capture(thrown);
            }

            Stop();
        }

        private async Task FeedAsync(IAsyncEnumerable<RefineItem> items)
        {
            try
            {
                await TakeAsync(items).ConfigureAwait(false);
            }
            catch (OperationCanceledException) when (stopping.IsCancellationRequested || drain.IsCancellationRequested)
            {
                // Asked to end; what was accepted is dealt with by the others.
            }
            catch (Exception thrown)
            {
                Fail(thrown);
            }
            finally
            {
                lock (gate)
                {
                    fed = true;
                    Monitor.PulseAll(gate);
                }
            }
        }

        private async Task TakeAsync(IAsyncEnumerable<RefineItem> items)
        {
            IAsyncEnumerator<RefineItem> source = items.GetAsyncEnumerator(stopping.Token);
            Task<bool> next = Task.FromResult(true);
            try
            {
                while (true)
                {
                    await slots.WaitAsync(stopping.Token).ConfigureAwait(false);
                    long from = Stopwatch.GetTimestamp();

                    // A source that does not heed the token, as a terminal that somebody should type into, is left to itself.
                    next = source.MoveNextAsync().AsTask();
                    bool more = await next.WaitAsync(stopping.Token).ConfigureAwait(false);
                    Interlocked.Add(ref listTicks, Stopwatch.GetTimestamp() - from);
                    if (!more)
                    {
                        break;
                    }

                    Accept(source.Current);
                }
            }
            finally
            {
                if (next.IsCompleted)
                {
                    await source.DisposeAsync().ConfigureAwait(false);
                }
            }
        }

        private void Accept(RefineItem item)
        {
            if (item.Read is null)
            {
                Give(new RefineOutcome(item, item.Status) { Cause = item.Cause, Error = item.Error });
                return;
            }

            lock (gate)
            {
                accepted.Enqueue(item);
                Wake();
            }
        }

        private void Give(RefineOutcome outcome) => outcomes.Writer.TryWrite(outcome);

        // Under the lock, after any change: waking costs more than looking whether somebody who waits can go on.
        private void Wake()
        {
            if ((idleCodecs > 0 && CodecMayGoOn) || (idleDevices > 0 && DeviceMayGoOn))
            {
                Monitor.PulseAll(gate);
            }
        }

        private void Code()
        {
            while (true)
            {
                Loaded? toEncode = null;
                RefineItem? toDecode = null;
                lock (gate)
                {
                    idleCodecs++;
                    while (!CodecMayGoOn)
                    {
                        Monitor.Wait(gate);
                    }

                    idleCodecs--;
                    if (refined.TryDequeue(out toEncode))
                    {
                        encoding++;
                    }
                    else if (MayDecode)
                    {
                        toDecode = accepted.Dequeue();
                        decoding++;
                    }
                    else
                    {
                        return;
                    }
                }

                if (toEncode is not null)
                {
                    Encode(toEncode);
                }
                else
                {
                    Decode(toDecode!);
                }
            }
        }

        private void Decode(RefineItem item)
        {
            Loaded? loaded = null;
            RefineOutcome outcome = new(item, RefineStatus.Skipped);
            long from = Stopwatch.GetTimestamp();
            try
            {
                if (item.Read!() is ReadOnlyMemory<byte> content)
                {
                    outcome = outcome with { InputBytes = content.Length, InputHash = ContentHash.Of(content.Span) };
                    FittedImage image = codec.Decode(content.Span, item.Place ?? item.Name, arrays);
                    long ticks = Stopwatch.GetTimestamp() - from;
                    outcome = outcome with { Width = image.Width, Height = image.Height, Seconds = (Seconds(ticks), 0, 0) };
                    loaded = new Loaded(outcome, image);
                }
            }
            catch (Exception thrown)
            {
                outcome = Failed(outcome, thrown, RefineCause.Image, "decoded");
            }
            finally
            {
                Interlocked.Add(ref decodeTicks, Stopwatch.GetTimestamp() - from);
                lock (gate)
                {
                    decoding--;
                    if (loaded is not null)
                    {
                        loaded.Sequence = sequence++;
                        heldBytes += loaded.Bytes;
                        (int, int) size = (loaded.Pixels.Width, loaded.Pixels.Height);
                        if (!groups.TryGetValue(size, out List<Loaded>? group))
                        {
                            groups.Add(size, group = []);
                        }

                        group.Add(loaded);
                    }

                    Wake();
                }
            }

            if (loaded is null)
            {
                Give(outcome);
            }
        }

        private void Encode(Loaded loaded)
        {
            RefineItem item = loaded.Outcome.Item;
            RefineOutcome outcome = loaded.Outcome;
            long from = Stopwatch.GetTimestamp();
            using var encoded = new ByteBuffer();
            try
            {
                try
                {
                    IReadOnlyList<ImageNote> notes = codec.Encode(loaded.Image, loaded.Pixels, item.OutputName, loaded.Refiner!, encoded);
                    outcome = outcome with
                    {
                        Status = RefineStatus.Refined,
                        Encoded = item.Write is null ? encoded.Written.ToArray() : null,
                        OutputBytes = encoded.Length,
                        OutputHash = ContentHash.Of(encoded.Written),
                        Notes = notes,
                    };
                }
                catch (Exception thrown)
                {
                    outcome = Failed(outcome, thrown, RefineCause.Encoding, "encoded");
                }

                if (outcome.Status == RefineStatus.Refined)
                {
                    Write(item, encoded, ref outcome);
                }
            }
            finally
            {
                long ticks = Stopwatch.GetTimestamp() - from;
                Interlocked.Add(ref encodeTicks, ticks);
                outcome = outcome with { Seconds = outcome.Seconds with { Encode = Seconds(ticks) } };
                if (loaded.Image.IsDecodedInto)
                {
                    arrays.Return(loaded.Pixels.Pixels);
                }

                lock (gate)
                {
                    encoding--;
                    heldBytes -= loaded.Bytes;
                    Wake();
                }
            }

            Give(outcome);
        }

        // What an output cannot be written for is the run's matter, but for a name that this one image cannot have.
        private static void Write(RefineItem item, ByteBuffer encoded, ref RefineOutcome outcome)
        {
            try
            {
                item.Write?.Invoke(encoded.Memory);
            }
            catch (RefineItemException failure)
            {
                outcome = Failed(outcome, failure, failure.Cause, "written") with { OutputBytes = 0, OutputHash = null };
            }
        }

        // One image is not worth a run: also what nobody foresaw costs only itself, and says what it was.
        private static RefineOutcome Failed(RefineOutcome outcome, Exception thrown, RefineCause cause, string what)
        {
            string place = outcome.Item.Place ?? outcome.Item.Name;
            return thrown switch
            {
                RefineItemException failure => outcome with { Status = RefineStatus.Failed, Cause = failure.Cause, Error = failure.Message },
                OutOfMemoryException => outcome with
                {
                    Status = RefineStatus.Failed,
                    Cause = RefineCause.Memory,
                    Error = $"{place}: cannot be {what}: the machine has too little memory. Use fewer --threads, or scale it down.",
                },
                _ => outcome with
                {
                    Status = RefineStatus.Failed,
                    Cause = cause,
                    Error = $"{place}: cannot be {what}: {thrown.GetType().Name}: {thrown.Message.ReplaceLineEndings(" ").TrimEnd('.')}. "
                        + "This is a defect of the program; please report it with the file.",
                },
            };
        }

        private void Compute(IImageRefiner refiner)
        {
            try
            {
                while (Next() is List<Loaded> group)
                {
                    long from = Stopwatch.GetTimestamp();
                    Refine(refiner, group);
                    Interlocked.Add(ref deviceTicks, Stopwatch.GetTimestamp() - from);
                }
            }
            finally
            {
                lock (gate)
                {
                    liveDevices--;
                    Monitor.PulseAll(gate);
                }
            }
        }

        // The next images to compute together; null at the end.
        private List<Loaded>? Next()
        {
            lock (gate)
            {
                idleDevices++;
                while (!DeviceMayGoOn)
                {
                    Monitor.Wait(gate);
                }

                idleDevices--;
                if (Ending || Ready() is not (int, int) size)
                {
                    return null;
                }

                List<Loaded> group = groups[size];
                if (group.Count <= batch)
                {
                    groups.Remove(size);
                    return group;
                }

                List<Loaded> first = group[..batch];
                group.RemoveRange(0, batch);
                return first;
            }
        }

        // The size of a group that should be computed now: of those that are full or have waited too long the oldest, or, where there is none
        // and nothing else can go on (nothing is being decoded, and memory that encoding frees would not change that), the largest.
        private (int Width, int Height)? Ready()
        {
            (int, int)? oldest = null, largest = null;
            long first = long.MaxValue;
            int most = 0;
            foreach (((int, int) size, List<Loaded> group) in groups)
            {
                long since = group[0].Sequence;
                bool ready = group.Count >= batch || (group.Count + 1) * group[0].Bytes > options.MemoryBytes || since + maxAge < sequence;
                if (ready && since < first)
                {
                    (oldest, first) = (size, since);
                }

                if (group.Count > most)
                {
                    (largest, most) = (size, group.Count);
                }
            }

            if (oldest is not null)
            {
                return oldest;
            }

            bool moreMayCome = decoding > 0 || MayDecode || (accepted.Count > 0 && encoding + refined.Count > 0);
            return moreMayCome ? null : largest;
        }

        private void Refine(IImageRefiner refiner, List<Loaded> group)
        {
            var lanes = new LaneReport[group.Count];
            byte[][] images = [.. group.Select(loaded => loaded.Pixels.Pixels)];
            long from = Stopwatch.GetTimestamp();
            refiner.Refine(images, lanes, group[0].Pixels.Height, group[0].Pixels.Width);
            double seconds = Seconds(Stopwatch.GetTimestamp() - from);
            for (int i = 0; i < group.Count; i++)
            {
                group[i].Refiner = refiner;
                group[i].Outcome = group[i].Outcome with
                {
                    Plan = lanes[i].Plan,
                    FellBack = lanes[i].FellBack,
                    Seconds = group[i].Outcome.Seconds with { Device = seconds },
                };
            }

            List<RefineOutcome> failures = [];
            lock (gate)
            {
                for (int i = 0; i < group.Count; i++)
                {
                    if (lanes[i].Fault == LaneFault.None)
                    {
                        refined.Enqueue(group[i]);
                    }
                    else
                    {
                        heldBytes -= group[i].Bytes;
                        failures.Add(Faulty(group[i].Outcome, lanes[i].Fault));
                    }
                }

                Wake();
            }

            failures.ForEach(Give);
        }

        private static RefineOutcome Faulty(RefineOutcome outcome, LaneFault fault) => outcome with
        {
            Status = RefineStatus.Failed,
            Cause = fault switch
            {
                LaneFault.OutOfMemory => RefineCause.Memory,
                LaneFault.TooLarge => RefineCause.Size,
                _ => RefineCause.NotFinite,
            },
            Error = (outcome.Item.Place ?? outcome.Item.Name) + fault switch
            {
                LaneFault.OutOfMemory => $": the device has too little memory for {outcome.Width} x {outcome.Height} pixels. Scale it down, or use --device cpu.",
                LaneFault.TooLarge => $": the device's libraries cannot address maps of {outcome.Width} x {outcome.Height} pixels. Scale it down, or use --device cpu.",
                _ => ": the refined image holds numbers that are not finite. Check the model with another image.",
            },
        };

        private static double Seconds(long ticks) => (double)ticks / Stopwatch.Frequency;

        private sealed class Loaded(RefineOutcome outcome, FittedImage image)
        {
            public RefineOutcome Outcome { get; set; } = outcome;

            public FittedImage Image { get; } = image;

            /// <summary>What goes to the model, and what comes from it.</summary>
            public RgbImage Pixels { get; } = image.Working;

            public IImageRefiner? Refiner { get; set; }

            public long Sequence { get; set; }

            public long Bytes { get; } = image.Working.Pixels.Length + (image.Alpha?.Length ?? 0) + image.Source.Metadata.Bytes;
        }
    }
}

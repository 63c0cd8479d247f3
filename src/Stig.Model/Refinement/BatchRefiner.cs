using System.Runtime.ExceptionServices;
using Stig.Model.Imaging;

namespace Stig.Model.Refinement;

/// <summary>The format in which refined images are written.</summary>
public enum RefinedFormat
{
    /// <summary>PNG: lossless, keeps opacity, states how the image was made.</summary>
    Png,

    /// <summary>
    /// That of the input's extension; PNG where it is none of .png, .jpg, .jpeg and .webp. JPEG loses some of the refinement.
    /// </summary>
    Same,
}

/// <summary>Options of a <see cref="BatchRefiner"/>.</summary>
public sealed record BatchRefinerOptions
{
    /// <summary>Where refined images go, each under its own relative name; made if need be.</summary>
    public required string OutputFolder { get; init; }

    /// <summary>The format in which they are written.</summary>
    public RefinedFormat Format { get; init; } = RefinedFormat.Png;

    /// <summary>
    /// Whether PNG outputs state the program's version ("Software"). What is out of the ordinary, a resampled filter, is
    /// stated in any case.
    /// </summary>
    public bool Stamp { get; init; } = true;

    /// <summary>Largest number of images of one size that are refined together, at least 1; as in
    /// <see cref="RefinerOptions.Batch"/>.</summary>
    public int Batch { get; init; } = 4;

    /// <summary>Threads that decode and encode, beside those that refine; 0 for one a processor.</summary>
    public int Threads { get; init; }

    /// <summary>
    /// Bytes of decoded images held at a time. No image is decoded while they are in use, so that at most as many images as there are
    /// threads come on top.
    /// </summary>
    public long MemoryBytes { get; init; } = 256L << 20;

    /// <summary>Called once for each image as it is done with, from one thread at a time.</summary>
    public Action<RefinedImage>? Progress { get; init; }
}

/// <summary>An image to refine.</summary>
/// <param name="Input">Where it is read.</param>
/// <param name="Output">Where the refined image is written.</param>
public readonly record struct RefineItem(ImageFile Input, string Output);

/// <summary>An image that is done with.</summary>
/// <param name="Item">Which one.</param>
/// <param name="Failure">Why there is no refined image: file, cause, remedy; null when there is one.</param>
public readonly record struct RefinedImage(RefineItem Item, string? Failure);

/// <summary>What became of a set of images.</summary>
/// <param name="Refined">Images that were refined and written.</param>
/// <param name="Failures">Images that could not be, in the order of the input.</param>
/// <param name="Completed">False when the run was cancelled before the last image.</param>
public sealed record BatchRefinerResult(int Refined, IReadOnlyList<RefinedImage> Failures, bool Completed);

/// <summary>
/// Refines image files: worker threads decode and encode while the calling thread refines, images of equal size together, in bounded
/// memory. An image that cannot be read is reported and the others go on.
/// </summary>
public static class BatchRefiner
{
    /// <summary>Gives each input its output, and makes sure that no output replaces another one or an input.</summary>
    /// <param name="inputs">The images, as <see cref="ImageFiles.Find"/> finds them.</param>
    /// <param name="options">Where to and in which format.</param>
    /// <exception cref="ImageDataException">Two inputs would be written to one file, or one over an input; the message names
    /// both.</exception>
    public static IReadOnlyList<RefineItem> Plan(IReadOnlyList<ImageFile> inputs, BatchRefinerOptions options)
    {
        ArgumentNullException.ThrowIfNull(inputs);
        ArgumentNullException.ThrowIfNull(options);
        HashSet<string> sources = [.. inputs.Select(input => Path.GetFullPath(input.Path))];
        Dictionary<string, string> sourceOf = [];
        List<RefineItem> items = new(inputs.Count);
        foreach (ImageFile input in inputs)
        {
            string output = Path.Combine(
                options.OutputFolder, Path.ChangeExtension(input.RelativeName, ExtensionOf(input, options.Format)));
            string full = Path.GetFullPath(output);
            if (sources.Contains(full))
            {
                throw new ImageDataException($"Refining {input.Path} would overwrite the input {full}. Choose another output folder.");
            }

            if (!sourceOf.TryAdd(full, input.Path))
            {
                throw new ImageDataException($"{sourceOf[full]} and {input.Path} would both be written to {output}. "
                    + "Refine them into different folders, or keep their formats.");
            }

            items.Add(new RefineItem(input, output));
        }

        return items;
    }

    /// <summary>Refines images and writes the results, each file whole or not at all.</summary>
    /// <param name="refiner">The model.</param>
    /// <param name="items">What <see cref="Plan"/> gave.</param>
    /// <param name="options">The options it was given.</param>
    /// <param name="cancellation">Ends the run: images being refined are finished and written, no other is begun.</param>
    /// <exception cref="IOException">An output cannot be written; the run ends.</exception>
    public static BatchRefinerResult Run(
        Refiner refiner, IReadOnlyList<RefineItem> items, BatchRefinerOptions options, CancellationToken cancellation = default)
    {
        ArgumentNullException.ThrowIfNull(refiner);
        ArgumentNullException.ThrowIfNull(items);
        ArgumentNullException.ThrowIfNull(options);
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Batch, 1, nameof(options));
        ArgumentOutOfRangeException.ThrowIfNegative(options.Threads, nameof(options));
        ArgumentOutOfRangeException.ThrowIfLessThan(options.MemoryBytes, 1, nameof(options));
        AtomicFile.EnsureWritable(options.OutputFolder);
        return new Pipeline(refiner, items, options, cancellation).Run();
    }

    private static string ExtensionOf(ImageFile input, RefinedFormat format)
    {
        string extension = Path.GetExtension(input.RelativeName);
        bool keeps = format == RefinedFormat.Same && extension.ToUpperInvariant() is ".PNG" or ".JPG" or ".JPEG" or ".WEBP";
        return keeps ? extension : ".png";
    }

    private static KeyValuePair<string, string>[] Texts(Refiner refiner, RgbImage image, bool stamp)
    {
        List<KeyValuePair<string, string>> texts = [];
        if (stamp)
        {
            texts.Add(new("Software", $"stig {ProgramVersion.Current}"));
        }

        if (refiner.IsResampled(image.Width, image.Height))
        {
            int size = refiner.Model.Architecture.Size;
            texts.Add(new("Comment", $"filter resampled from {size}x{size} to {image.Width}x{image.Height}"));
        }

        return [.. texts];
    }

    // All state stands under one lock. Workers prefer encoding, which frees memory, to decoding, which takes it; the calling
    // thread collects images into groups of one size and refines a group when it is full, or when nothing else could go on.
    private sealed class Pipeline(
        Refiner refiner, IReadOnlyList<RefineItem> items, BatchRefinerOptions options, CancellationToken cancellation)
    {
        private const int MinimumSide = 2;

        private readonly object gate = new();
        private readonly object reporting = new();
        private readonly Queue<Loaded> decoded = new();
        private readonly Queue<Loaded> refined = new();
        private readonly Dictionary<(int Width, int Height), List<Loaded>> groups = [];
        private readonly SortedDictionary<int, RefinedImage> failures = [];
        private int next;
        private int decoding;
        private int encoding;
        private int written;
        private long heldBytes;
        private bool computed;
        private ExceptionDispatchInfo? error;

        // No further image is begun.
        private bool Ending => error is not null || cancellation.IsCancellationRequested;

        // Another image is being decoded, or will be once memory that is being freed is free.
        private bool MoreMayCome => decoding > 0 || MayDecode || (next < items.Count && !Ending && encoding + refined.Count > 0);

        private bool MayDecode => next < items.Count && !Ending && heldBytes < options.MemoryBytes;

        public BatchRefinerResult Run()
        {
            int count = options.Threads > 0 ? options.Threads : Environment.ProcessorCount;
            Thread[] workers = [.. Enumerable.Range(0, count).Select(index =>
                new Thread(() => Guard(Work)) { IsBackground = true, Name = $"refine {index}" })];
            using CancellationTokenRegistration wake = cancellation.Register(() =>
            {
                lock (gate)
                {
                    Monitor.PulseAll(gate);
                }
            });
            Array.ForEach(workers, worker => worker.Start());
            Guard(Compute);
            lock (gate)
            {
                computed = true;
                Monitor.PulseAll(gate);
            }

            Array.ForEach(workers, worker => worker.Join());
            error?.Throw();
            return new BatchRefinerResult(written, [.. failures.Values], written + failures.Count == items.Count);
        }

        // The first error ends all threads and is thrown on the caller's.
        private void Guard(Action action)
        {
            try
            {
                action();
            }
            catch (Exception thrown)
            {
                lock (gate)
                {
                    error ??= ExceptionDispatchInfo.Capture(thrown);
                    Monitor.PulseAll(gate);
                }
            }
        }

        private void Work()
        {
            while (true)
            {
                Loaded? toEncode = null;
                int toDecode = -1;
                lock (gate)
                {
                    while (refined.Count == 0 && !MayDecode)
                    {
                        if (computed || error is not null)
                        {
                            return;
                        }

                        Monitor.Wait(gate);
                    }

                    if (refined.TryDequeue(out toEncode))
                    {
                        encoding++;
                    }
                    else
                    {
                        toDecode = next++;
                        decoding++;
                    }
                }

                if (toEncode is not null)
                {
                    Encode(toEncode);
                }
                else
                {
                    Decode(toDecode);
                }
            }
        }

        private void Decode(int index)
        {
            Loaded? loaded = null;
            string? failure = null;
            try
            {
                RgbImage image = ImageCodec.Load(items[index].Input.Path);
                if (image.Width < MinimumSide || image.Height < MinimumSide)
                {
                    failure =
                        $"{items[index].Input.Path}: has {image.Width} x {image.Height} pixels; each side needs at least {MinimumSide}. "
                        + "Remove it.";
                }
                else
                {
                    loaded = new Loaded(index, image);
                }
            }
            catch (ImageFormatException unreadable)
            {
                failure = unreadable.Message;
            }

            lock (gate)
            {
                decoding--;
                if (loaded is not null)
                {
                    heldBytes += loaded.Bytes;
                    decoded.Enqueue(loaded);
                }

                Monitor.PulseAll(gate);
            }

            if (failure is not null)
            {
                Report(index, failure);
            }
        }

        private void Encode(Loaded loaded)
        {
            ImageCodec.Save(items[loaded.Index].Output, loaded.Image, Texts(refiner, loaded.Image, options.Stamp));
            lock (gate)
            {
                encoding--;
                heldBytes -= loaded.Bytes;
                Monitor.PulseAll(gate);
            }

            Report(loaded.Index, null);
        }

        private void Report(int index, string? failure)
        {
            var image = new RefinedImage(items[index], failure);
            lock (reporting)
            {
                if (failure is null)
                {
                    written++;
                }
                else
                {
                    failures.Add(index, image);
                }

                options.Progress?.Invoke(image);
            }
        }

        private void Compute()
        {
            while (true)
            {
                Loaded? loaded;
                lock (gate)
                {
                    // While others work, more images of a size may come; afterwards only an incomplete group can free memory.
                    while (!decoded.TryDequeue(out loaded) && MoreMayCome)
                    {
                        Monitor.Wait(gate);
                    }

                    if (error is not null)
                    {
                        return;
                    }
                }

                if (cancellation.IsCancellationRequested || (loaded is null && groups.Count == 0))
                {
                    return;
                }

                if (loaded is null)
                {
                    Refine(groups.MaxBy(group => group.Value.Count).Key);
                    continue;
                }

                (int, int) size = (loaded.Image.Width, loaded.Image.Height);
                if (!groups.TryGetValue(size, out List<Loaded>? group))
                {
                    groups.Add(size, group = []);
                }

                group.Add(loaded);
                if (group.Count == options.Batch || (group.Count + 1) * loaded.Bytes > options.MemoryBytes)
                {
                    Refine(size);
                }
            }
        }

        private void Refine((int Width, int Height) size)
        {
            groups.Remove(size, out List<Loaded>? group);
            int length = 3 * size.Width * size.Height;
            byte[] pixels = new byte[checked(group!.Count * length)];
            for (int i = 0; i < group.Count; i++)
            {
                group[i].Image.Pixels.CopyTo(pixels, i * length);
            }

            refiner.Refine(pixels, pixels, group.Count, size.Height, size.Width);
            for (int i = 0; i < group.Count; i++)
            {
                pixels.AsSpan(i * length, length).CopyTo(group[i].Image.Pixels);
            }

            lock (gate)
            {
                group.ForEach(refined.Enqueue);
                Monitor.PulseAll(gate);
            }
        }

        private sealed record Loaded(int Index, RgbImage Image)
        {
            public long Bytes => Image.Pixels.Length + (Image.Alpha?.Length ?? 0);
        }
    }
}

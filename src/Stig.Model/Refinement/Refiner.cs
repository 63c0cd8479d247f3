using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Stig.Interop;
using Stig.Interop.Cuda;
using Stig.Model.Checkpoints;
using Stig.Model.Execution;
using Stig.Model.Graphs;
using Stig.Model.Imaging;
using Stig.Model.Operations;
using Stig.Model.Translation;

namespace Stig.Model.Refinement;

/// <summary>
/// Refines images with a model: the log magnitude of the spectrum is translated, the phase stays (Lee, Jung, Seo 2024). The result of an
/// image does not depend on the images refined together with it. Programs are planned once a size and reused. One caller at a time.
/// </summary>
/// <remarks>
/// On the CPU a program computes as many images as are given, up to the batch; its kernels treat each image alone. On a GPU there are
/// programs of at most three batch sizes (the batch, a quarter of it, one), and lanes that are left over compute the last image again:
/// which algorithms a library chooses there can depend on the batch. Out of memory halves the batch of that image size and goes on.
/// </remarks>
public sealed class Refiner : IImageRefiner
{
    private const int Channels = 3;

    // Programs hold the memory of their batch; the least recently used one goes first.
    private const int MaxPrograms = 4;

    private static readonly ChannelWeights EveryChannel = new(1, 1, 1);

    private readonly RefinerOptions options;
    private readonly string modelPath;
    private readonly Dictionary<(int Height, int Width), int> limits = [];
    private readonly Executor executor;
    private readonly TensorStore store;
    private readonly Translator translator;
    private readonly LinkedList<(ProgramKey Key, RefineProgram Program)> programs = [];
    private bool warnedOfSize;
    private Refiner? exact;

    private Refiner(string modelPath, RefinerOptions options, Executor executor, TensorStore store, CheckpointInfo model)
    {
        this.modelPath = modelPath;
        this.options = options;
        this.executor = executor;
        this.store = store;
        Model = model;
        translator = new Translator(model.Architecture, eachAlone: true);
    }

    /// <summary>What the model's file says of it.</summary>
    public CheckpointInfo Model { get; }

    /// <summary>The device in use, "cpu" or "cuda:N".</summary>
    public string Device => executor.DeviceName;

    /// <summary>The first 16 hexadecimal digits of the SHA-256 of the model's file.</summary>
    public string ModelId { get; private init; } = "";

    /// <inheritdoc/>
    public string Options => $"range={options.OutputRange.ToString().ToLowerInvariant()} arithmetic={Arithmetic}";

    /// <inheritdoc/>
    public int Batch => options.Batch;

    // What the manifest calls the arithmetic.
    private string Arithmetic => executor switch
    {
        { FeatureRounding: > 0 } => "bf16",
        { ProductRounding: > 0 } => "tf32",
        _ => "f32",
    };

    private bool IsGpu => Device != "cpu";

    /// <summary>Loads a model.</summary>
    /// <param name="modelPath">A checkpoint: <c>best.safetensors</c> or <c>last.safetensors</c> of a run, or any model file.</param>
    /// <param name="options">Device, output range, batch.</param>
    /// <exception cref="CheckpointException">The file is no checkpoint, damaged, or of another version.</exception>
    /// <exception cref="DeviceException">The device cannot be used, or does not compute in the precision asked for.</exception>
    public static Refiner Load(string modelPath, RefinerOptions? options = null)
    {
        options ??= new RefinerOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Batch, 1, nameof(options));
        Executor executor = Execution.Device.Open(options.Device, DevicePurpose.Refinement, options.Winograd, options.Precision, options.Profile);
        executor.Warn = options.Warn;
        TensorStore store = executor.CreateStore();
        try
        {
            CheckpointInfo model = Checkpoint.LoadModel(modelPath, store);
            if (!options.Residual)
            {
                model.Architecture.Generator.ZeroLastLayer(store);
            }

            return new Refiner(modelPath, options, executor, store, model) { ModelId = Identify(modelPath) };
        }
        catch
        {
            store.Dispose();
            executor.Dispose();
            throw;
        }
    }

    /// <summary>Whether images of a size are refined with a filter resampled from the size of training.</summary>
    /// <param name="width">Width in pixels.</param>
    /// <param name="height">Height in pixels.</param>
    public bool IsResampled(int width, int height)
    {
        (int paddedHeight, int paddedWidth) = Padded(height, width);
        return Model.Architecture.HasFilter && (paddedHeight, paddedWidth) != (Model.Architecture.Size, Model.Architecture.Size);
    }

    /// <inheritdoc/>
    public string? Remark(int width, int height)
    {
        int size = Model.Architecture.Size;
        return IsResampled(width, height) ? $"filter resampled from {size}x{size} to {width}x{height}" : null;
    }

    /// <summary>Refines images of floats.</summary>
    /// <param name="images">[count, 3, height, width], RGB in [0, 1], row-major.</param>
    /// <param name="refined">Receives as many values in [0, 1]. May be the same memory.</param>
    /// <param name="count">Number of images.</param>
    /// <param name="height">Height in pixels, at least 2.</param>
    /// <param name="width">Width in pixels, at least 2.</param>
    /// <exception cref="ArgumentException">A span has another length, or an extent is out of range.</exception>
    public void Refine(ReadOnlySpan<float> images, Span<float> refined, int count, int height, int width)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        RefineAll(new Lanes<float>(images, refined, count, Length(height, width)), new LaneReport[count], height, width, mayFail: false);
    }

    /// <summary>Refines images of bytes.</summary>
    /// <param name="images">[count, height, width, 3], RGB interleaved.</param>
    /// <param name="refined">Receives as many bytes. May be the same memory.</param>
    /// <param name="count">Number of images.</param>
    /// <param name="height">Height in pixels, at least 2.</param>
    /// <param name="width">Width in pixels, at least 2.</param>
    /// <exception cref="ArgumentException">A span has another length, or an extent is out of range.</exception>
    public void Refine(ReadOnlySpan<byte> images, Span<byte> refined, int count, int height, int width)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        RefineAll(new Lanes<byte>(images, refined, count, Length(height, width)), new LaneReport[count], height, width, mayFail: false);
    }

    /// <inheritdoc/>
    public void Refine(ReadOnlySpan<byte[]> images, Span<LaneReport> lanes, int height, int width)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(lanes.Length, images.Length, nameof(lanes));
        RefineAll(new Lanes<byte>(images, Length(height, width)), lanes, height, width, mayFail: true);
        if (Arithmetic == "f32")
        {
            return;
        }

        // What is not finite was left as it had come.
        for (int lane = 0; lane < lanes.Length; lane++)
        {
            if (lanes[lane].Fault == LaneFault.NotFinite)
            {
                exact ??= Load(modelPath, options with { Device = Device, Precision = Precision.F32, Batch = 1 });
                exact.Refine(images.Slice(lane, 1), lanes.Slice(lane, 1), height, width);
                lanes[lane] = lanes[lane] with { FellBack = true };
            }
        }
    }

    /// <summary>Refines images of floats in unmanaged memory; see the overload that takes spans.</summary>
    /// <param name="images">[count, 3, height, width], RGB in [0, 1], row-major.</param>
    /// <param name="refined">Receives as many values in [0, 1]. May be the same memory.</param>
    /// <param name="count">Number of images.</param>
    /// <param name="height">Height in pixels, at least 2.</param>
    /// <param name="width">Width in pixels, at least 2.</param>
    /// <exception cref="ArgumentException">A pointer is null, or an extent is out of range.</exception>
    /// <exception cref="OverflowException">There are more than 2^31 - 1 values.</exception>
    public unsafe void Refine(float* images, float* refined, int count, int height, int width)
    {
        ArgumentNullException.ThrowIfNull(images);
        ArgumentNullException.ThrowIfNull(refined);
        int length = checked(count * Channels * height * width);
        Refine(new ReadOnlySpan<float>(images, length), new Span<float>(refined, length), count, height, width);
    }

    /// <summary>Refines one image; its alpha is carried through.</summary>
    /// <param name="image">The image, at least 2 x 2 pixels.</param>
    /// <returns>The refined image, of the same size.</returns>
    /// <exception cref="ArgumentException">The image is too small.</exception>
    public RgbImage Refine(RgbImage image)
    {
        ArgumentNullException.ThrowIfNull(image);
        byte[] refined = new byte[image.Pixels.Length];
        Refine(image.Pixels, refined, 1, image.Height, image.Width);
        return new RgbImage(image.Width, image.Height, refined, image.Alpha);
    }

    /// <summary>Frees the device memory.</summary>
    public void Dispose()
    {
        exact?.Dispose();
        Forget();
        store.Dispose();
        executor.Dispose();
    }

    private static string Identify(string path)
    {
        using FileStream file = File.OpenRead(path);
        return Convert.ToHexStringLower(SHA256.HashData(file))[..16];
    }

    private static bool IsOutOfMemory(Exception error) =>
        error is DeviceOutOfMemoryException or OutOfMemoryException or NativeCoreException { Status: CoreStatus.OutOfMemory };

    private static int Length(int height, int width)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 2);
        return checked(Channels * height * width);
    }

    // What cannot be computed for want of memory, or is not finite, is reported where the caller can take it, and otherwise thrown or left.
    private void RefineAll<T>(Lanes<T> images, Span<LaneReport> lanes, int height, int width, bool mayFail)
        where T : unmanaged
    {
        int count = lanes.Length;
        WarnOfSize(height, width);
        bool again = false;
        for (int start = 0; start < count;)
        {
            int limit = limits.GetValueOrDefault((height, width), options.Batch);
            int used = Math.Min(limit, count - start);
            int planned = IsGpu ? PlanBatch(used, limit) : used;
            try
            {
                RefineProgram program = Find(new ProgramKey(planned, height, width, typeof(T) == typeof(byte)));
                program.Run(images, start, used);
                string plan = $"{Device} {Arithmetic} {program.Extents}";
                for (int lane = 0; lane < used; lane++)
                {
                    lanes[start + lane] = new(program.IsFinite(lane) ? LaneFault.None : LaneFault.NotFinite, plan, false);
                }

                start += used;
                again = false;
            }
            catch (Exception error) when (IsOutOfMemory(error) || error is DeviceLimitException)
            {
                bool tooLarge = error is DeviceLimitException;

                // Programs of other sizes hold memory too; without them even one image may fit that did not.
                Forget();
                if (planned > 1)
                {
                    limits[(height, width)] = planned / 2;
                    options.Warn?.Invoke(tooLarge
                        ? $"{Device} cannot address {planned} images of {width} x {height} at once; going on with {planned / 2}."
                        : $"{Device} has too little memory for {planned} images of {width} x {height}; going on with {planned / 2}.");
                }
                else if (!again && !tooLarge)
                {
                    again = true;
                }
                else
                {
                    if (!mayFail)
                    {
                        throw;
                    }

                    again = false;
                    lanes[start++] = new(tooLarge ? LaneFault.TooLarge : LaneFault.OutOfMemory, $"{Device} {Arithmetic} 1x{Channels}x{height}x{width}", false);
                }
            }
        }
    }

    // The least of three sizes that holds them all: few programs, and so few sets of bytes if a library's results depend on the batch.
    private static int PlanBatch(int count, int batch) => count == 1 ? 1 : count <= batch / 4 ? batch / 4 : batch;

    private void Forget()
    {
        foreach ((_, RefineProgram program) in programs)
        {
            program.Dispose();
        }

        programs.Clear();
    }

    private (int Height, int Width) Padded(int height, int width)
    {
        int multiple = Model.Architecture.SizeMultiple;
        int smallest = Model.Architecture.MinimumSize;
        int Extent(int extent) => (Math.Max(extent, smallest) + multiple - 1) / multiple * multiple;
        return (Extent(height), Extent(width));
    }

    private void WarnOfSize(int height, int width)
    {
        if (!warnedOfSize && IsResampled(width, height))
        {
            warnedOfSize = true;
            int size = Model.Architecture.Size;
            options.Warn?.Invoke($"The model was trained at {size} x {size}, the images are {width} x {height}: "
                + "its filter is resampled over normalised frequency, which is less accurate than a model trained at that size.");
        }
    }

    private RefineProgram Find(ProgramKey key)
    {
        for (LinkedListNode<(ProgramKey Key, RefineProgram Program)>? entry = programs.First; entry is not null; entry = entry.Next)
        {
            if (entry.Value.Key == key)
            {
                programs.Remove(entry);
                programs.AddFirst(entry);
                return entry.Value.Program;
            }
        }

        if (programs.Count == MaxPrograms)
        {
            programs.Last!.Value.Program.Dispose();
            programs.RemoveLast();
        }

        RefineProgram program = Compile(key);
        programs.AddFirst((key, program));
        return program;
    }

    private RefineProgram Compile(ProgramKey key)
    {
        (int height, int width) = Padded(key.Height, key.Width);
        EnsureFilter(height, width);
        var graph = new Graph();
        var shape = new Shape(key.Count, Channels, height, width);
        Value input = graph.Input("images", key.Bytes ? TensorType.Bytes(shape) : TensorType.Float(shape));
        Value refined = RefineGraph.Build(
            graph, Model.Architecture, key.Bytes ? graph.UnpackPixels(input) : input, options.OutputRange, out Value unlimited);

        // Square rings hold every pixel, and a ring's mean is not finite as soon as one of its pixels is not; bytes would not show it.
        Value means = graph.Output("means", graph.RingProfile(unlimited, RingKind.Rect, EveryChannel));
        if (key.Bytes)
        {
            PixelRounding rounding = Model.Architecture.Preset == Preset.Official ? PixelRounding.Down : PixelRounding.Nearest;
            refined = graph.PackPixels(refined, rounding);
        }

        graph.Output("refined", refined);
        return new RefineProgram(executor.Compile(graph, store), input, refined, means, key);
    }

    // The filter at another size than that of training is made once and kept in the store.
    private void EnsureFilter(int height, int width)
    {
        string name = translator.FilterNameAt(height, width);
        if (!Model.Architecture.HasFilter || store.Shapes.ContainsKey(name))
        {
            return;
        }

        float[] filter = FilterResampler.Resample(store.Read(Translator.FilterName), Channels, Model.Architecture.Size, height, width);
        store.Create(name, new Shape(Channels, height, width), filter);
    }

    // Images of one size: one after the other in one block of memory, or each in an array of its own, which its result replaces if it is
    // finite.
    private readonly ref struct Lanes<T> where T : unmanaged
    {
        private readonly ReadOnlySpan<T> inputs;
        private readonly Span<T> outputs;
        private readonly ReadOnlySpan<T[]> arrays;
        private readonly int length;

        public Lanes(ReadOnlySpan<T> inputs, Span<T> outputs, int count, int length)
        {
            if (inputs.Length != checked(count * length) || outputs.Length != inputs.Length)
            {
                throw new ArgumentException(
                    $"{count} images have {(long)count * length} values; there are {inputs.Length} in and {outputs.Length} out.");
            }

            this.inputs = inputs;
            this.outputs = outputs;
            this.length = length;
        }

        public Lanes(ReadOnlySpan<T[]> arrays, int length)
        {
            foreach (T[] array in arrays)
            {
                if (array.Length != length)
                {
                    throw new ArgumentException($"An image has {length} values, not {array.Length}.");
                }
            }

            this.arrays = arrays;
            this.length = length;
        }

        public bool AreOneBlock => arrays.IsEmpty;

        public ReadOnlySpan<T> Input(int lane) => AreOneBlock ? Inputs(lane, 1) : arrays[lane];

        public Span<T> Output(int lane) => AreOneBlock ? Outputs(lane, 1) : arrays[lane];

        // Of one block.
        public ReadOnlySpan<T> Inputs(int first, int count) => inputs.Slice(first * length, count * length);

        // Of one block.
        public Span<T> Outputs(int first, int count) => outputs.Slice(first * length, count * length);
    }

    private readonly record struct ProgramKey(int Count, int Height, int Width, bool Bytes);

    // A compiled program with what is around it: sizes that the network cannot take are extended by reflection and cut back, and lanes
    // without an image get the last one.
    private sealed class RefineProgram(Program program, Value input, Value output, Value means, ProgramKey key) : IDisposable
    {
        private readonly int height = input.Shape.H;
        private readonly int width = input.Shape.W;
        private readonly float[] ringMeans = new float[means.Shape.Count];
        private byte[]? buffer;

        public string Extents => $"{key.Count}x{Channels}x{height}x{width}";

        public bool IsFinite(int lane) =>
            !ringMeans.AsSpan(lane * means.Shape.C, means.Shape.C).ContainsAnyExceptInRange(float.MinValue, float.MaxValue);

        public void Run<T>(Lanes<T> images, int first, int used) where T : unmanaged
        {
            if (images.AreOneBlock && height == key.Height && width == key.Width && used == key.Count)
            {
                program.Write(input, images.Inputs(first, used));
                program.Run();
                program.Read(output, images.Outputs(first, used));
                program.Read<float>(means, ringMeans);
                return;
            }

            buffer ??= new byte[input.Type.ByteCount];
            Span<T> values = MemoryMarshal.Cast<byte, T>(buffer.AsSpan());
            int length = values.Length / key.Count;
            for (int lane = 0; lane < key.Count; lane++)
            {
                Span<T> place = values.Slice(lane * length, length);
                if (lane < used)
                {
                    CopyPlanes(images.Input(first + lane), place, pad: true);
                }
                else
                {
                    values.Slice((used - 1) * length, length).CopyTo(place);
                }
            }

            program.Write<T>(input, values);
            program.Run();
            program.Read(output, values);
            program.Read<float>(means, ringMeans);
            for (int lane = 0; lane < used; lane++)
            {
                if (images.AreOneBlock || IsFinite(lane))
                {
                    CopyPlanes(values.Slice(lane * length, length), images.Output(first + lane), pad: false);
                }
            }
        }

        public void Dispose() => program.Dispose();

        // One image. Rows of bytes hold interleaved pixels, rows of floats one channel.
        private void CopyPlanes<T>(ReadOnlySpan<T> from, Span<T> to, bool pad) where T : unmanaged
        {
            if (height == key.Height && width == key.Width)
            {
                from.CopyTo(to);
                return;
            }

            int planes = key.Bytes ? 1 : Channels;
            int element = key.Bytes ? Channels : 1;
            (int fromHeight, int fromWidth, int toHeight, int toWidth) =
                pad ? (key.Height, key.Width, height, width) : (height, width, key.Height, key.Width);
            for (int plane = 0; plane < planes; plane++)
            {
                for (int y = 0; y < toHeight; y++)
                {
                    ReadOnlySpan<T> source =
                        from.Slice(((plane * fromHeight) + Reflect(y, fromHeight)) * fromWidth * element, fromWidth * element);
                    Span<T> target = to.Slice(((plane * toHeight) + y) * toWidth * element, toWidth * element);
                    source[..(Math.Min(fromWidth, toWidth) * element)].CopyTo(target);
                    for (int x = fromWidth; x < toWidth; x++)
                    {
                        source.Slice(Reflect(x, fromWidth) * element, element).CopyTo(target[(x * element)..]);
                    }
                }
            }
        }

        // Mirrored at the last pixel, which is not repeated; an image smaller than the padding is mirrored again and again.
        private static int Reflect(int index, int extent)
        {
            int period = 2 * (extent - 1);
            int position = index % period;
            return position < extent ? position : period - position;
        }
    }
}

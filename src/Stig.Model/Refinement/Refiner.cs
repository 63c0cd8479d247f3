using System.Runtime.InteropServices;
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
public sealed class Refiner : IDisposable
{
    private const int Channels = 3;

    // Programs hold the memory of their batch; the least recently used one goes first.
    private const int MaxPrograms = 4;

    private readonly RefinerOptions options;
    private readonly Executor executor;
    private readonly TensorStore store;
    private readonly Translator translator;
    private readonly LinkedList<(ProgramKey Key, RefineProgram Program)> programs = [];
    private bool warnedOfSize;

    private Refiner(RefinerOptions options, Executor executor, TensorStore store, CheckpointInfo model)
    {
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

    /// <summary>Loads a model.</summary>
    /// <param name="modelPath">A checkpoint: <c>best.safetensors</c> or <c>last.safetensors</c> of a run, or any model file.</param>
    /// <param name="options">Device, output range, batch.</param>
    /// <exception cref="CheckpointException">The file is no checkpoint, damaged, or of another version.</exception>
    /// <exception cref="DeviceException">The device cannot be used, or does not compute in the precision asked for.</exception>
    public static Refiner Load(string modelPath, RefinerOptions? options = null)
    {
        options ??= new RefinerOptions();
        ArgumentOutOfRangeException.ThrowIfLessThan(options.Batch, 1, nameof(options));
        Executor executor = Execution.Device.Open(options.Device, DevicePurpose.Refinement, options.Winograd, options.Precision);
        executor.Warn = options.Warn;
        TensorStore store = executor.CreateStore();
        try
        {
            return new Refiner(options, executor, store, Checkpoint.LoadModel(modelPath, store));
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

    /// <summary>Refines images of floats.</summary>
    /// <param name="images">[count, 3, height, width], RGB in [0, 1], row-major.</param>
    /// <param name="refined">Receives as many values in [0, 1]. May be the same memory.</param>
    /// <param name="count">Number of images.</param>
    /// <param name="height">Height in pixels, at least 2.</param>
    /// <param name="width">Width in pixels, at least 2.</param>
    /// <exception cref="ArgumentException">A span has another length, or an extent is out of range.</exception>
    public void Refine(ReadOnlySpan<float> images, Span<float> refined, int count, int height, int width) =>
        RefineAll(images, refined, count, height, width);

    /// <summary>Refines images of bytes.</summary>
    /// <param name="images">[count, height, width, 3], RGB interleaved.</param>
    /// <param name="refined">Receives as many bytes. May be the same memory.</param>
    /// <param name="count">Number of images.</param>
    /// <param name="height">Height in pixels, at least 2.</param>
    /// <param name="width">Width in pixels, at least 2.</param>
    /// <exception cref="ArgumentException">A span has another length, or an extent is out of range.</exception>
    public void Refine(ReadOnlySpan<byte> images, Span<byte> refined, int count, int height, int width) =>
        RefineAll(images, refined, count, height, width);

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
        RefineAll(new ReadOnlySpan<float>(images, length), new Span<float>(refined, length), count, height, width);
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
        foreach ((_, RefineProgram program) in programs)
        {
            program.Dispose();
        }

        programs.Clear();
        store.Dispose();
        executor.Dispose();
    }

    private void RefineAll<T>(ReadOnlySpan<T> images, Span<T> refined, int count, int height, int width) where T : unmanaged
    {
        ArgumentOutOfRangeException.ThrowIfNegative(count);
        ArgumentOutOfRangeException.ThrowIfLessThan(height, 2);
        ArgumentOutOfRangeException.ThrowIfLessThan(width, 2);
        int length = checked(Channels * height * width);
        if (images.Length != checked(count * length) || refined.Length != images.Length)
        {
            throw new ArgumentException(
                $"{count} images of {width} x {height} have {(long)count * length} values; "
                + $"there are {images.Length} in and {refined.Length} out.");
        }

        WarnOfSize(height, width);
        for (int start = 0; start < count;)
        {
            int batch = Math.Min(options.Batch, count - start);
            RefineProgram program = Find(new ProgramKey(batch, height, width, typeof(T) == typeof(byte)));
            program.Run(images.Slice(start * length, batch * length), refined.Slice(start * length, batch * length));
            start += batch;
        }
    }

    private (int Height, int Width) Padded(int height, int width)
    {
        int multiple = Model.Architecture.SizeMultiple;
        return ((height + multiple - 1) / multiple * multiple, (width + multiple - 1) / multiple * multiple);
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
        Value refined = RefineGraph.Build(graph, Model.Architecture, key.Bytes ? graph.UnpackPixels(input) : input, options.OutputRange);
        if (key.Bytes)
        {
            PixelRounding rounding = Model.Architecture.Preset == Preset.Official ? PixelRounding.Down : PixelRounding.Nearest;
            refined = graph.PackPixels(refined, rounding);
        }

        graph.Output("refined", refined);
        return new RefineProgram(executor.Compile(graph, store), input, refined, key);
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

    private readonly record struct ProgramKey(int Count, int Height, int Width, bool Bytes);

    // A compiled program with the padding around it: sizes that the network cannot take are extended by reflection and cut back.
    private sealed class RefineProgram(Program program, Value input, Value output, ProgramKey key) : IDisposable
    {
        private readonly int height = input.Shape.H;
        private readonly int width = input.Shape.W;
        private byte[]? padded;

        public void Run<T>(ReadOnlySpan<T> images, Span<T> refined) where T : unmanaged
        {
            if (height == key.Height && width == key.Width)
            {
                program.Write(input, images);
                program.Run();
                program.Read(output, refined);
                return;
            }

            padded ??= new byte[input.Type.ByteCount];
            Span<T> values = MemoryMarshal.Cast<byte, T>(padded.AsSpan());
            CopyPlanes(images, values, pad: true);
            program.Write<T>(input, values);
            program.Run();
            program.Read(output, values);
            CopyPlanes(values, refined, pad: false);
        }

        public void Dispose() => program.Dispose();

        // Rows of bytes hold interleaved pixels, rows of floats one channel.
        private void CopyPlanes<T>(ReadOnlySpan<T> from, Span<T> to, bool pad) where T : unmanaged
        {
            int planes = key.Bytes ? key.Count : key.Count * Channels;
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

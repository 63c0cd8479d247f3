using Stig.Model.Checkpoints;
using Stig.Model.Execution;
using Stig.Model.Execution.Cpu;
using Stig.Model.Imaging;
using Stig.Model.Networks;
using Stig.Model.Randomness;
using Stig.Model.Refinement;
using Stig.Model.Tests.Training;
using Stig.Model.Training;
using Stig.Model.Translation;
using Stig.Tests;

namespace Stig.Model.Tests.Refinement;

public sealed class RefinerTests : IDisposable
{
    private const int Size = 32;

    private readonly TestFolder folder = new();

    public void Dispose() => folder.Dispose();

    // A network with random weights everywhere, also in the last layer: its result depends on every part of the path.
    private string RandomModel(Preset preset, int width = 16, NormalizationMode? normalization = null, Action<string, float[]>? change = null)
    {
        ModelArchitecture architecture = (TrainingOptions.For(preset) with { Size = Size, Width = width }).Architecture;
        architecture = architecture with { Normalization = normalization ?? architecture.Normalization };
        using var executor = new CpuExecutor();
        using TensorStore store = executor.CreateStore();
        foreach (ParameterSpec spec in Checkpoint.ModelParameters(architecture))
        {
            float[] values = spec.Initialize(3);
            if (spec.Initializer == Initializer.Zero)
            {
                var random = new CounterRandom(5, spec.Name);
                values = [.. values.Select((_, i) => 0.2f * (float)random.Normal(i))];
            }

            change?.Invoke(spec.Name, values);
            store.Create(spec.Name, spec.Shape, values);
        }

        string path = folder[$"{preset}-{width}-{architecture.Normalization}.safetensors"];
        Checkpoint.Save(path, new CheckpointInfo(architecture, 0, null, null), store);
        return path;
    }

    private static float[] Images(int count, int height, int width)
    {
        float[] images = new float[count * 3 * height * width];
        var random = new CounterRandom(11, "images");
        for (int i = 0; i < images.Length; i++)
        {
            images[i] = (float)random.Uniform(i);
        }

        return images;
    }

    [Theory]
    [InlineData(Preset.Default, 16, NormalizationMode.PerImage, true)]
    [InlineData(Preset.Default, 16, NormalizationMode.PerImage, false)]
    [InlineData(Preset.Default, 8, NormalizationMode.Running, true)]
    [InlineData(Preset.Official, 16, NormalizationMode.Batch, true)]
    [InlineData(Preset.Filter, 0, NormalizationMode.PerImage, true)]
    public void An_image_alone_or_in_any_batch_gives_the_same_bytes(
        Preset preset, int width, NormalizationMode normalization, bool winograd)
    {
        string model = RandomModel(preset, width, normalization);
        const int Count = 5;
        float[] images = Images(Count, Size, Size);
        float[] alone = new float[images.Length];
        int length = images.Length / Count;
        using (Refiner refiner = Refiner.Load(model, new RefinerOptions { Batch = 1, Winograd = winograd }))
        {
            for (int i = 0; i < Count; i++)
            {
                refiner.Refine(images.AsSpan(i * length, length), alone.AsSpan(i * length, length), 1, Size, Size);
            }
        }

        foreach (int batch in (int[])[2, 3, 5, 8])
        {
            using Refiner refiner = Refiner.Load(model, new RefinerOptions { Batch = batch, Winograd = winograd });
            float[] together = new float[images.Length];
            refiner.Refine(images, together, Count, Size, Size);
            Assert.Equal(alone, together);
        }

        Assert.All(alone, value => Assert.InRange(value, 0f, 1f));
        Assert.NotEqual(images, alone);
    }

    // Above 3.396e38 a float32 is infinity in bfloat16. The last layer multiplies the channel that comes near by zero: nothing in float32, NaN in
    // bfloat16. Oracles: images that overflow have to come out as in float32 from the start, the others as alone in bfloat16. How strongly
    // the channel varies decides which do; the test takes the first strength at which some do and some do not.
    [Theory]
    [InlineData("cpu")]
    [InlineData("cuda:0")]
    public void What_is_not_finite_in_bf16_is_computed_again_in_f32(string device)
    {
        Assert.SkipUnless(device != "cpu" || CpuPrecision.HasBf16, "this processor has no bfloat16 arithmetic");
        if (device != "cpu")
        {
            SimulatedCuda.Require();
        }

        const int Width = 8;
        byte[][] images = [.. Enumerable.Range(0, 7).Select(i => SyntheticImages.GanLike(2, i, Size).Pixels)];
        foreach (float strength in (float[])[1e35f, 1.2e35f, 1.4e35f, 1.6e35f, 1.8e35f, 2e35f, 2.3e35f, 2.6e35f, 3e35f])
        {
            string model = RandomModel(Preset.Default, Width, change: (name, values) =>
            {
                if (name.EndsWith("conv0_4.bn2.weight", StringComparison.Ordinal))
                {
                    values[0] = strength;
                }
                else if (name.EndsWith("conv0_4.bn2.bias", StringComparison.Ordinal))
                {
                    values[0] = 3.39e38f;
                }
                else if (name.EndsWith("final.weight", StringComparison.Ordinal))
                {
                    (values[0], values[Width], values[2 * Width]) = (0, 0, 0);
                }
            });
            (byte[][] together, LaneReport[] lanes) = Refine(model, device, Precision.Bf16, batch: 4, images);
            if (lanes.All(lane => lane.FellBack) || !lanes.Any(lane => lane.FellBack))
            {
                continue;
            }

            byte[][] inF32 = Refine(model, device, Precision.F32, batch: 1, images).Refined, alone = Refine(model, device, Precision.Bf16, batch: 1, images).Refined;
            for (int i = 0; i < images.Length; i++)
            {
                Assert.Equal(LaneFault.None, lanes[i].Fault);
                Assert.StartsWith(lanes[i].FellBack ? $"{device} f32 1x" : $"{device} bf16 ", lanes[i].Plan, StringComparison.Ordinal);
                Assert.Equal(lanes[i].FellBack ? inF32[i] : alone[i], together[i]);
                Assert.NotEqual(images[i], together[i]);
            }

            return;
        }

        Assert.Fail("no strength makes some of the images overflow and others not");
    }

    private static (byte[][] Refined, LaneReport[] Lanes) Refine(string model, string device, Precision precision, int batch, byte[][] images)
    {
        byte[][] refined = [.. images.Select(image => (byte[])image.Clone())];
        var lanes = new LaneReport[images.Length];
        using Refiner refiner = Refiner.Load(model, new RefinerOptions { Device = device, Precision = precision, Batch = batch });
        refiner.Refine(refined, lanes, Size, Size);
        return (refined, lanes);
    }

    [Fact]
    public void Bytes_floats_pointers_and_images_agree()
    {
        using Refiner refiner = Refiner.Load(RandomModel(Preset.Default));
        RgbImage image = SyntheticImages.GanLike(1, 0, Size);
        float[] planes = new float[3 * Size * Size];
        image.ToPlanar(planes);
        float[] refined = new float[planes.Length];
        refiner.Refine(planes, refined, 1, Size, Size);

        RgbImage asImage = refiner.Refine(image);

        // Rounding to the nearest byte is the only difference.
        float[] fromBytes = new float[planes.Length];
        asImage.ToPlanar(fromBytes);
        for (int i = 0; i < refined.Length; i++)
        {
            Assert.InRange(fromBytes[i], refined[i] - (0.501f / 255), refined[i] + (0.501f / 255));
        }

        float[] byPointer = new float[planes.Length];
        unsafe
        {
            fixed (float* source = planes, destination = byPointer)
            {
                refiner.Refine(source, destination, 1, Size, Size);
            }
        }

        Assert.Equal(refined, byPointer);
    }

    [Theory]
    [InlineData(48, 32)]
    [InlineData(33, 47)]
    [InlineData(5, 70)]
    [InlineData(2, 2)]
    public void Sizes_that_the_network_cannot_take_are_padded_and_cut_back(int height, int width)
    {
        List<string> warnings = [];
        using Refiner refiner = Refiner.Load(RandomModel(Preset.Default), new RefinerOptions { Warn = warnings.Add });
        float[] images = Images(2, height, width);
        float[] refined = new float[images.Length];
        refiner.Refine(images, refined, 2, height, width);

        // Bytes take the same path: the reflected border is the same in both layouts.
        byte[] bytes = [.. Enumerable.Range(0, images.Length).Select(i => (byte)(i * 37 % 256))];
        float[] planar = Planar(bytes, 2, height, width);
        float[] fromFloats = new float[planar.Length];
        refiner.Refine(planar, fromFloats, 2, height, width);
        byte[] fromBytes = new byte[bytes.Length];
        refiner.Refine(bytes, fromBytes, 2, height, width);
        float[] fromBytesPlanar = Planar(fromBytes, 2, height, width);
        for (int i = 0; i < fromFloats.Length; i++)
        {
            Assert.InRange(fromBytesPlanar[i], fromFloats[i] - (0.501f / 255), fromFloats[i] + (0.501f / 255));
        }

        if (height <= Size && width <= Size)
        {
            // Nothing is resampled: the size of training is the smallest that the model takes.
            Assert.Empty(warnings);
            return;
        }

        string warning = Assert.Single(warnings);
        Assert.Contains($"{Size} x {Size}", warning, StringComparison.Ordinal);
        Assert.Contains($"{width} x {height}", warning, StringComparison.Ordinal);
    }

    [Fact]
    public void Padding_is_by_reflection_at_the_right_and_the_bottom()
    {
        // The oracle is the same image extended by hand to a size that the network takes, refined whole and cut back: the same bytes.
        const int Height = 33;
        const int Width = 47;
        const int Padded = 48;
        using Refiner refiner = Refiner.Load(RandomModel(Preset.Default));
        float[] image = Images(1, Height, Width);
        float[] refined = new float[image.Length];
        refiner.Refine(image, refined, 1, Height, Width);

        float[] extended = new float[3 * Padded * Padded];
        for (int i = 0; i < extended.Length; i++)
        {
            (int channel, int y, int x) = (i / (Padded * Padded), i / Padded % Padded, i % Padded);
            int fromY = y < Height ? y : (2 * (Height - 1)) - y;
            int fromX = x < Width ? x : (2 * (Width - 1)) - x;
            extended[i] = image[(((channel * Height) + fromY) * Width) + fromX];
        }

        refiner.Refine(extended, extended, 1, Padded, Padded);
        for (int i = 0; i < refined.Length; i++)
        {
            (int channel, int y, int x) = (i / (Height * Width), i / Width % Height, i % Width);
            Assert.Equal(extended[(((channel * Padded) + y) * Padded) + x], refined[i]);
        }
    }

    [Fact]
    public void A_model_that_changes_nothing_gives_back_the_image_at_any_size()
    {
        // A zero filter: analysis and synthesis cancel. The bound is the rounding of two float32 transforms.
        ModelArchitecture architecture = (TrainingOptions.For(Preset.Filter) with { Size = Size }).Architecture;
        string path = folder["identity.safetensors"];
        using (var executor = new CpuExecutor())
        using (TensorStore store = executor.CreateStore())
        {
            foreach (ParameterSpec spec in Checkpoint.ModelParameters(architecture))
            {
                store.Create(spec.Name, spec.Shape, new float[spec.Shape.Count]);
            }

            Checkpoint.Save(path, new CheckpointInfo(architecture, 0, null, null), store);
        }

        using Refiner refiner = Refiner.Load(path);
        foreach ((int height, int width) in ((int, int)[])[(32, 32), (31, 17), (40, 64)])
        {
            float[] images = Images(1, height, width);
            float[] refined = new float[images.Length];
            refiner.Refine(images, refined, 1, height, width);
            for (int i = 0; i < images.Length; i++)
            {
                Assert.InRange(refined[i], images[i] - 2e-5f, images[i] + 2e-5f);
            }
        }
    }

    // The reference truncates; everything else is rounded to the nearest byte.
    [Theory]
    [InlineData(Preset.Official, 0)]
    [InlineData(Preset.Default, 0.5)]
    public void Bytes_are_rounded_as_the_preset_says(Preset preset, double half)
    {
        using Refiner refiner = Refiner.Load(RandomModel(preset), new RefinerOptions { OutputRange = OutputRange.Stretch });
        RgbImage image = SyntheticImages.GanLike(2, 0, Size);
        float[] planes = new float[3 * Size * Size];
        image.ToPlanar(planes);
        refiner.Refine(planes, planes, 1, Size, Size);
        byte[] bytes = refiner.Refine(image).Pixels;
        float[] fromBytes = Planar(bytes, 1, Size, Size);
        int different = Enumerable.Range(0, planes.Length).Count(i => (int)Math.Round(255 * fromBytes[i]) != (int)Math.Floor((255.0 * planes[i]) + half));

        // Values within float32 rounding of a step may fall to the other side.
        Assert.InRange(different, 0, 3);
    }

    [Fact]
    public void Stretch_reaches_zero_and_one_in_every_image()
    {
        using Refiner refiner = Refiner.Load(RandomModel(Preset.Default), new RefinerOptions { OutputRange = OutputRange.Stretch });
        float[] images = Images(2, Size, Size);
        refiner.Refine(images, images, 2, Size, Size);
        foreach (float[] image in images.Chunk(3 * Size * Size))
        {
            Assert.Equal(0f, image.Min());
            Assert.Equal(1f, image.Max());
        }
    }

    [Fact]
    public void Wrong_lengths_and_devices_are_refused()
    {
        string model = RandomModel(Preset.Filter, 0);
        using Refiner refiner = Refiner.Load(model);
        Assert.Throws<ArgumentException>(() => refiner.Refine(new float[10], new float[10], 1, Size, Size));
        Assert.Throws<ArgumentException>(() => refiner.Refine(new float[3 * Size * Size], new float[5], 1, Size, Size));
        Assert.Throws<ArgumentOutOfRangeException>(() => refiner.Refine(new float[3 * Size], new float[3 * Size], 1, 1, Size));
        DeviceException exception = Assert.Throws<DeviceException>(() => Refiner.Load(model, new RefinerOptions { Device = "cuda:99" }));
        Assert.Contains("--device cpu", exception.Message, StringComparison.Ordinal);
    }

    private static float[] Planar(byte[] pixels, int count, int height, int width)
    {
        float[] planar = new float[pixels.Length];
        int plane = height * width;
        for (int i = 0; i < pixels.Length; i++)
        {
            int image = i / (3 * plane);
            int pixel = i / 3 % plane;
            planar[(((image * 3) + (i % 3)) * plane) + pixel] = pixels[i] / 255f;
        }

        return planar;
    }
}

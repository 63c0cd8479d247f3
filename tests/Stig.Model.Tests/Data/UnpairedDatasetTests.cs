using Stig.Model.Data;
using Stig.Model.Imaging;
using Stig.Model.Tests.Imaging;

namespace Stig.Model.Tests.Data;

public sealed class UnpairedDatasetTests
{
    [Fact]
    public void Every_image_comes_once_an_epoch_in_an_order_that_changes()
    {
        // Unequal sizes: each domain has its own epochs. Images are flat; their grey value is their number.
        using var folder = new TestFolder();
        const int Real = 5, Fake = 8, Epochs = 6;
        UnpairedDataset set = Flat(folder, Real, Fake, new DatasetOptions { Size = 4, Seed = 3 });
        List<(int Real, int Fake)> drawn = Draw(set, 0, Real * Fake * Epochs);
        var orders = new HashSet<string>();
        for (int start = 0; start < drawn.Count; start += Real)
        {
            int[] epoch = [.. drawn.Skip(start).Take(Real).Select(pair => pair.Real)];
            Assert.Equal([0, 1, 2, 3, 4], epoch.Order());
            orders.Add(string.Join(',', epoch));
        }

        for (int start = 0; start < drawn.Count; start += Fake)
        {
            Assert.Equal(Enumerable.Range(0, Fake), drawn.Skip(start).Take(Fake).Select(pair => pair.Fake).Order());
        }

        Assert.True(orders.Count > 20, $"only {orders.Count} orders in {Fake * Epochs} epochs");
    }

    [Theory]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(5)]
    [InlineData(16)]
    public void Every_image_is_as_likely_at_every_position(int count)
    {
        // Over E epochs, how often image i is first is binomial with mean E / count; five standard deviations around it hold
        // for all of these counts unless the permutations are biased (seed fixed, so the outcome is too).
        using var folder = new TestFolder();
        const int Epochs = 2000;
        UnpairedDataset set = Flat(folder, count, 1, new DatasetOptions { Size = 1, Seed = 20 });
        var first = new int[count];
        for (int epoch = 0; epoch < Epochs; epoch++)
        {
            first[Draw(set, (long)epoch * count, 1)[0].Real]++;
        }

        double mean = (double)Epochs / count, deviation = Math.Sqrt(mean * (1 - 1.0 / count));
        Assert.All(first, hits => Assert.InRange(hits, mean - 5 * deviation, mean + 5 * deviation));
    }

    [Fact]
    public void A_step_is_the_same_after_resuming_and_on_any_thread()
    {
        using var folder = new TestFolder();
        var options = new DatasetOptions { Size = 16, Batch = 3, Seed = 99 };
        WriteNoise(folder, 7, 9);
        UnpairedDataset set = Open(folder, options), other = Open(folder, options with { CacheBytes = 0 });
        float[][] straight = [.. Enumerable.Range(0, 20).Select(step => Batch(set, step))];
        Assert.Equal(straight[13], Batch(Open(folder, options), 13));
        var threaded = new float[20][];
        Parallel.For(0, 20, new ParallelOptions { MaxDegreeOfParallelism = 4 }, step => threaded[19 - step] = Batch(other, 19 - step));
        Assert.Equal(straight, threaded);
        Assert.NotEqual(straight[0], Batch(Open(folder, options with { Seed = 98 }), 0));
    }

    [Fact]
    public void Random_windows_are_unchanged_parts_of_the_image_and_reach_everywhere()
    {
        // Red holds the column, green the row. A window must read x, x + 1, ... and y, y + 1, ...; all 9 x 6 positions must
        // come up in 2000 draws (each is missed with probability (53/54)^2000, below 1e-16).
        using var folder = new TestFolder();
        byte[] file = TestPng.Encode(24, 21, 8, 2, (x, y) => [x, y, 7]);
        folder.Write("real/a.png", file);
        folder.Write("fake/a.png", file);
        UnpairedDataset set = Open(folder, new DatasetOptions { Size = 16, Seed = 5 });
        float[] real = new float[set.BatchLength], fake = new float[set.BatchLength];
        var starts = new HashSet<(int, int)>();
        int same = 0;
        for (int step = 0; step < 2000; step++)
        {
            set.Fill(step, real, fake);
            (int x, int y) = ((int)MathF.Round(255 * real[0]), (int)MathF.Round(255 * real[256]));
            Assert.All(Enumerable.Range(0, 256), i => Assert.Equal(((x + i % 16) / 255f, (y + i / 16) / 255f), (real[i], real[256 + i])));
            starts.Add((x, y));
            same += real[0] == fake[0] && real[256] == fake[256] ? 1 : 0;
        }

        Assert.Equal(54, starts.Count);
        Assert.All(starts, start => Assert.True(start.Item1 is >= 0 and <= 8 && start.Item2 is >= 0 and <= 5));
        // Independent windows coincide once in 54 draws; 37 in 2000 expected.
        Assert.InRange(same, 10, 80);
    }

    [Fact]
    public void Center_takes_the_middle_and_pads_small_images_by_reflection()
    {
        using var folder = new TestFolder();
        folder.Write("real/a.png", TestPng.Encode(9, 6, 8, 0, (x, _) => [x]));
        folder.Write("fake/a.png", TestPng.Encode(3, 4, 8, 0, (x, _) => [x]));
        UnpairedDataset set = Open(folder, new DatasetOptions { Size = 6, Crop = CropMode.Center });
        float[] real = new float[set.BatchLength], fake = new float[set.BatchLength];
        set.Fill(0, real, fake);
        Assert.Equal([.. new[] { 1, 2, 3, 4, 5, 6 }.Select(v => v / 255f)], real[..6]);
        // Three columns in six: two before (rounded up), one after: 2 1 | 0 1 2 | 1.
        Assert.Equal([.. new[] { 2, 1, 0, 1, 2, 1 }.Select(v => v / 255f)], fake[..6]);
    }

    [Fact]
    public void Resize_averages_what_the_smaller_size_cannot_hold()
    {
        // A pattern at the Nyquist frequency scaled down by four: an ideal low pass leaves its mean, 127.5 (here within 2 of
        // 255), where taking single pixels would leave 0 or 255. A flat image must stay flat, scaled down or up.
        using var folder = new TestFolder();
        folder.Write("real/a.png", TestPng.Encode(64, 64, 8, 0, (x, y) => [(x + y) % 2 * 255]));
        folder.Write("fake/a.png", TestPng.Encode(7, 11, 8, 0, (_, _) => [93]));
        UnpairedDataset set = Open(folder, new DatasetOptions { Size = 16, Crop = CropMode.Resize });
        float[] real = new float[set.BatchLength], fake = new float[set.BatchLength];
        set.Fill(0, real, fake);
        Assert.All(real, value => Assert.InRange(value, 125.5f / 255, 129.5f / 255));
        Assert.All(fake, value => Assert.Equal(93 / 255f, value));
    }

    [Fact]
    public void Official_pairing_goes_through_both_listings_in_order_and_resizes_with_a_triangle()
    {
        using var folder = new TestFolder();
        UnpairedDataset set = Flat(folder, 3, 5, new DatasetOptions { Size = 4, OfficialPairing = true, Crop = CropMode.Resize });
        Assert.Equal([(0, 0), (1, 1), (2, 2), (0, 0), (1, 1)], Draw(set, 0, 5));

        // Halving with a triangle: weights 1 3 3 1 over eight. Away from the border, an impulse of 240 in column 6 gives 90 in
        // column 3 (source columns 5..8 weigh 1 3 3 1) and 30 in column 2 (columns 3..6).
        folder.Write("ramp/real/a.png", TestPng.Encode(16, 16, 8, 0, (x, _) => [x == 6 ? 240 : 0]));
        folder.Write("ramp/fake/a.png", TestPng.Encode(8, 8, 8, 0, (_, _) => [1]));
        set = new UnpairedDataset(ImageFiles.FindIn(folder["ramp/real"]), ImageFiles.FindIn(folder["ramp/fake"]),
                                  new DatasetOptions { Size = 8, OfficialPairing = true, Crop = CropMode.Resize });
        var image = new float[set.ImageLength];
        Assert.True(set.TryRead(ImageDomain.Real, 0, image));
        Assert.Equal([.. new[] { 0, 0, 30, 90, 0, 0, 0, 0 }.Select(v => v / 255f)], image[..8]);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void Damaged_files_are_reported_once_and_replaced_by_the_next(bool official)
    {
        using var folder = new TestFolder();
        var reports = new List<string>();
        var options = new DatasetOptions { Size = 4, Seed = 1, OfficialPairing = official, Report = reports.Add };
        UnpairedDataset whole = Flat(folder, 6, 6, options);
        List<(int Real, int Fake)> before = Draw(whole, 0, 6);
        folder.Write("real/0002.png", "not an image"u8);
        folder.Write("real/0004.png", []);
        List<(int Real, int Fake)> after = Draw(Open(folder, options), 0, 600);
        Assert.DoesNotContain(after, pair => pair.Real is 2 or 4);
        int[] epoch = [.. before.Select(pair => pair.Real)];
        for (int i = 0; i < 6; i++)
        {
            int next = i;
            while (epoch[next] is 2 or 4)
            {
                next = (next + 1) % 6;
            }

            Assert.Equal(epoch[next], after[i].Real);
            Assert.Equal(official ? after[i].Real : before[i].Fake, after[i].Fake);
        }

        Assert.Equal(2, reports.Count);
        Assert.Contains(reports, line => line.Contains("0002.png", StringComparison.Ordinal));
        Assert.Contains(reports, line => line.Contains("0004.png", StringComparison.Ordinal));
    }

    [Fact]
    public void Images_too_long_to_be_resized_are_reported()
    {
        using var folder = new TestFolder();
        var reports = new List<string>();
        var options = new DatasetOptions { Size = 1024, Crop = CropMode.Resize, Report = reports.Add };
        Flat(folder, 1, 1, options);
        folder.Write("real/long.png", ImageCodec.Encode(new RgbImage(65_537, 1, new byte[3 * 65_537]), ImageFormat.Png).Bytes);
        UnpairedDataset set = Open(folder, options);
        var image = new float[set.ImageLength];
        Assert.Equal([true, false], Enumerable.Range(0, 2).Select(i => set.TryRead(ImageDomain.Real, i, image)));
        Assert.Contains("too long", Assert.Single(reports), StringComparison.Ordinal);
    }

    [Fact]
    public void A_domain_without_any_image_is_an_error()
    {
        using var folder = new TestFolder();
        folder.Write("real/a.png", "no"u8);
        folder.Write("real/b.png", "no"u8);
        folder.Write("fake/a.png", TestPng.Encode(4, 4, 8, 0, (_, _) => [1]));
        UnpairedDataset set = Open(folder, new DatasetOptions { Size = 4 });
        var error = Assert.Throws<ImageDataException>(() => Batch(set, 0));
        Assert.Contains("2 real images", error.Message, StringComparison.Ordinal);
        Assert.Contains(".png", error.Message, StringComparison.Ordinal);
        Assert.False(set.TryRead(ImageDomain.Real, 1, new float[set.ImageLength]));
        Assert.Throws<ImageDataException>(() => new UnpairedDataset([], set.Fake, new DatasetOptions()));
    }

    [Fact]
    public void What_fits_into_the_cache_is_decoded_once()
    {
        // After the first epoch the files are gone; only what was kept can still be drawn.
        using var folder = new TestFolder();
        var options = new DatasetOptions { Size = 4, Seed = 8 };
        UnpairedDataset kept = Flat(folder, 4, 4, options), half = Open(folder, options with { CacheBytes = 4 * 48 }),
            none = Open(folder, options with { CacheBytes = 0 });
        List<(int, int)> first = Draw(kept, 0, 12);
        Assert.Equal(first, Draw(half, 0, 12));
        Draw(none, 0, 4);
        Directory.Delete(folder["real"], recursive: true);
        Directory.Delete(folder["fake"], recursive: true);
        Assert.Equal(first, Draw(kept, 0, 12));
        Assert.True(Draw(half, 0, 12).Select(pair => pair.Item1).Distinct().Count() < 4);
        Assert.Throws<ImageDataException>(() => Draw(none, 0, 1));
    }

    [Theory]
    [InlineData(CropMode.Random)]
    [InlineData(CropMode.Resize)]
    public void A_step_on_kept_images_allocates_nothing(CropMode crop)
    {
        using var folder = new TestFolder();
        WriteNoise(folder, 3, 4);
        UnpairedDataset set = Open(folder, new DatasetOptions { Size = 16, Batch = 2, Crop = crop });
        float[] real = new float[set.BatchLength], fake = new float[set.BatchLength];
        for (int step = 0; step < 12; step++)
        {
            set.Fill(step, real, fake);
        }

        long before = GC.GetAllocatedBytesForCurrentThread();
        for (int step = 12; step < 112; step++)
        {
            set.Fill(step, real, fake);
        }

        Assert.Equal(0, GC.GetAllocatedBytesForCurrentThread() - before);
    }

    [Fact]
    public void Split_holds_out_the_same_images_every_time_and_shares_none()
    {
        using var folder = new TestFolder();
        var options = new DatasetOptions { Size = 4 };
        UnpairedDataset set = Flat(folder, 12, 9, options);
        (UnpairedDataset training, UnpairedDataset validation) = set.Split(4, 77);
        (UnpairedDataset again, UnpairedDataset validationAgain) = Open(folder, options).Split(4, 77);
        Assert.Equal(validation.Real, validationAgain.Real);
        Assert.Equal(training.Fake, again.Fake);
        Assert.Equal((4, 4, 8, 5), (validation.Real.Count, validation.Fake.Count, training.Real.Count, training.Fake.Count));
        Assert.Equal(set.Real.Order(ByName), training.Real.Concat(validation.Real).Order(ByName));
        Assert.NotEqual(validation.Real, set.Split(4, 78).Validation.Real);
        Assert.Throws<ImageDataException>(() => set.Split(9, 77));

        // Damaged files are in neither part.
        folder.Write("real/0003.png", []);
        UnpairedDataset damaged = Open(folder, options);
        for (ulong seed = 0; seed < 8; seed++)
        {
            (training, validation) = damaged.Split(8, seed);
            Assert.DoesNotContain(validation.Real, file => file.RelativeName == "0003.png");
            Assert.Equal(8, validation.Real.Count);
        }

        // Whole pairs with the official pairing.
        (training, validation) = Flat(folder, 12, 9, options with { OfficialPairing = true }).Split(3, 5);
        Assert.Equal(validation.Real.Select(file => file.RelativeName), validation.Fake.Select(file => file.RelativeName));
        Assert.Equal(training.Real.Select(file => file.RelativeName), training.Fake.Select(file => file.RelativeName));
        Assert.Equal(6, training.Real.Count);
    }

    private static Comparer<ImageFile> ByName { get; } =
        Comparer<ImageFile>.Create((a, b) => string.CompareOrdinal(a.RelativeName, b.RelativeName));

    // Flat grey images whose value is their number.
    private static UnpairedDataset Flat(TestFolder folder, int real, int fake, DatasetOptions options)
    {
        foreach ((string domain, int count) in new[] { ("real", real), ("fake", fake) })
        {
            for (int i = 0; i < count; i++)
            {
                folder.Write($"{domain}/{i:D4}.png", TestPng.Encode(4, 4, 8, 0, (_, _) => [i]));
            }
        }

        return Open(folder, options);
    }

    private static void WriteNoise(TestFolder folder, int real, int fake)
    {
        for (int i = 0; i < real + fake; i++)
        {
            ImageCodec.Save(folder[i < real ? $"real/{i}.png" : $"fake/{i}.png"], SyntheticImages.RealLike(1, i, 24));
        }
    }

    private static UnpairedDataset Open(TestFolder folder, DatasetOptions options) =>
        new(ImageFiles.FindIn(folder["real"]), ImageFiles.FindIn(folder["fake"]), options);

    private static List<(int Real, int Fake)> Draw(UnpairedDataset set, long firstStep, int count)
    {
        var drawn = new List<(int, int)>();
        float[] real = new float[set.BatchLength], fake = new float[set.BatchLength];
        for (int i = 0; i < count; i++)
        {
            set.Fill(firstStep + i, real, fake);
            drawn.Add(((int)MathF.Round(255 * real[0]), (int)MathF.Round(255 * fake[0])));
        }

        return drawn;
    }

    private static float[] Batch(UnpairedDataset set, long step)
    {
        var both = new float[2 * set.BatchLength];
        set.Fill(step, both.AsSpan(0, set.BatchLength), both.AsSpan(set.BatchLength));
        return both;
    }
}

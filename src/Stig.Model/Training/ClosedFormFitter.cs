using Stig.Model.Data;
using Stig.Model.Execution;
using Stig.Model.Translation;

namespace Stig.Model.Training;

/// <summary>Fits what a model has in closed form to the training images: the filter, and for the default preset the map of levels.</summary>
internal static class ClosedFormFitter
{
    // Means and deviations of levels need no more images than this; every round reads the fakes again.
    private const int MaxLevelImages = 256;

    /// <summary>The fitted tensors by name; none for a model without a closed form.</summary>
    public static IReadOnlyDictionary<string, float[]> Fit(Executor executor, ModelArchitecture architecture, UnpairedDataset data)
    {
        var fitted = new Dictionary<string, float[]>();
        if (!architecture.HasFilter)
        {
            return fitted;
        }

        float[] planes = new float[data.ImageLength];
        void Each(ImageDomain domain, int limit, Action<ReadOnlySpan<float>> add)
        {
            int count = Math.Min(limit, domain == ImageDomain.Real ? data.Real.Count : data.Fake.Count);
            for (int index = 0; index < count; index++)
            {
                if (data.TryRead(domain, index, planes))
                {
                    add(planes);
                }
            }
        }

        using (var filter = new FilterFitter(executor, architecture.Size))
        {
            Each(ImageDomain.Real, int.MaxValue, image => filter.AddReal(image));
            Each(ImageDomain.Fake, int.MaxValue, image => filter.AddFake(image));
            fitted[Translator.FilterName] = filter.Fit(smooth: architecture.HasLevels);
        }

        if (architecture.HasLevels)
        {
            using var levels = new LevelFitter(executor, architecture.Size, fitted[Translator.FilterName]);
            Each(ImageDomain.Real, MaxLevelImages, image => levels.AddReal(image));
            for (int round = 0; round < LevelFitter.Rounds; round++)
            {
                Each(ImageDomain.Fake, MaxLevelImages, image => levels.AddFake(image));
                levels.Correct();
            }

            foreach ((string name, float[] values) in levels.Fit().Concat(levels.FitGate()))
            {
                fitted[name] = values;
            }
        }

        return fitted;
    }
}

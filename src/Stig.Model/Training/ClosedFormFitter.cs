using Stig.Model.Checkpoints;
using Stig.Model.Data;
using Stig.Model.Execution;
using Stig.Model.Networks;
using Stig.Model.Translation;

namespace Stig.Model.Training;

/// <summary>Fits what a model has in closed form to the training images: the filter, and for the default preset the map of levels.</summary>
internal static class ClosedFormFitter
{
    // Means and deviations of levels need no more images than this; every round reads the fakes again.
    private const int MaxLevelImages = 256;

    // Rounds over the fakes that find the map, and that make up for what the network has moved since.
    private const int Rounds = 16;
    private const int CorrectingRounds = 4;

    /// <summary>The fitted tensors by name; none for a model without a closed form.</summary>
    public static IReadOnlyDictionary<string, float[]> Fit(Executor executor, ModelArchitecture architecture, UnpairedDataset data)
    {
        var fitted = new Dictionary<string, float[]>();
        if (!architecture.HasFilter)
        {
            return fitted;
        }

        using (var filter = new FilterFitter(executor, architecture.Size))
        {
            Each(data, ImageDomain.Real, int.MaxValue, planes => filter.AddReal(planes));
            Each(data, ImageDomain.Fake, int.MaxValue, planes => filter.AddFake(planes));
            fitted[Translator.FilterName] = filter.Fit(smooth: architecture.HasLevels);
        }

        if (architecture.HasLevels)
        {
            using TensorStore store = executor.CreateStore();
            foreach (ParameterSpec spec in Checkpoint.ModelParameters(architecture).Where(spec => !spec.Trained))
            {
                store.Create(spec.Name, spec.Shape, fitted.GetValueOrDefault(spec.Name) ?? new float[spec.Shape.Count]);
            }

            using var levels = new LevelFitter(executor, architecture, store, network: false);
            FitLevels(levels, data, Rounds);
            foreach (ParameterSpec spec in LevelTransport.Parameters(architecture.LevelGrid))
            {
                fitted[spec.Name] = store.Read(spec.Name);
            }

            foreach ((string name, float[] values) in levels.FitGate())
            {
                fitted[name] = values;
            }
        }

        return fitted;
    }

    /// <summary>Makes up for what the network has changed in the levels: goes on with the map in the store, measuring the whole model.</summary>
    public static void Correct(Executor executor, ModelArchitecture architecture, TensorStore store, UnpairedDataset data)
    {
        if (architecture.HasLevels)
        {
            using var levels = new LevelFitter(executor, architecture, store, network: true);
            FitLevels(levels, data, CorrectingRounds);
        }
    }

    private static void FitLevels(LevelFitter levels, UnpairedDataset data, int rounds)
    {
        Each(data, ImageDomain.Real, MaxLevelImages, planes => levels.AddReal(planes));
        for (int round = 0; round < rounds; round++)
        {
            Each(data, ImageDomain.Fake, MaxLevelImages, planes => levels.AddFake(planes));
            levels.Correct();
        }
    }

    private static void Each(UnpairedDataset data, ImageDomain domain, int limit, Action<ReadOnlySpan<float>> add)
    {
        float[] planes = new float[data.ImageLength];
        int count = Math.Min(limit, domain == ImageDomain.Real ? data.Real.Count : data.Fake.Count);
        for (int index = 0; index < count; index++)
        {
            if (data.TryRead(domain, index, planes))
            {
                add(planes);
            }
        }
    }
}
